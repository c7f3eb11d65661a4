"""lenet_c: uint8 images as they are in the file, padded and normalised inside the kernels."""

from __future__ import annotations

from functools import partial
from itertools import cycle

from bench.peers.peer import Pass, Peer, Settings
from bench.peers.tasks import Problem, Task, Weights
from lenet_c import Trainer


class Ours(Peer):
    """lenet_c through its public interface."""

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        network, images = problem.network, problem.images[: task.batch]
        return {"uint8": partial(network.forward, images, num_threads=self.threads)}

    def training(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        trainer = Trainer(problem.copy(), task.optimizer, num_threads=self.threads)
        batches = cycle(problem.raw_batches(task.batch))
        return {"uint8": lambda: trainer.step(*next(batches))}

    def epoch(self, problem: Problem, task: Task) -> dict[str, Pass]:
        """See `Peer`."""
        network = problem.copy()
        trainer = Trainer(network, task.optimizer, batch_size=task.batch, num_threads=self.threads)

        def weights() -> Weights:
            return [network[name] for name in network]

        run = partial(trainer.fit, problem.images, problem.labels, epochs=1)
        return {"uint8": Pass(run, weights)}
