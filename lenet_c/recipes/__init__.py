"""Settings and commands that train what the library ships, and what `lenet-c train` trains."""

from lenet_c.recipes.command import CIFAR, DISTORTED, RECIPES, fine_tuning
from lenet_c.recipes.recipe import Recipe

__all__ = ["CIFAR", "DISTORTED", "RECIPES", "Recipe", "fine_tuning"]
