"""How the weights in the wheel were trained: commands that anyone can run again."""
