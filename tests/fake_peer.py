"""Contenders that test_peers runs in processes of their own."""

import os
import threading
import time

from bench.peers.peer import Pass, Peer


class Honest(Peer):
    """Right in two settings, of which one is slow on any machine, and wrong in two."""

    def __init__(self, threads):
        super().__init__(threads)
        print("a library's chatter", flush=True)

    def inference(self, problem, task):
        images = problem.images[: task.batch]

        def right():
            return problem.network.forward(images, num_threads=1)

        def slow():
            time.sleep(0.1)
            return right()

        return {
            "wrong": lambda: right() + 2e-4,
            "slow": slow,
            "fast": right,
            "short": lambda: right()[:, 1:],
        }


class Passing(Peer):
    """Three passes: one is slow on any machine, and one fails. The fast one learns nothing."""

    def epoch(self, problem, task):
        return {
            "slow": Pass(lambda: time.sleep(0.1), lambda: [0 * w for w in problem.weights]),
            "fast": Pass(lambda: None, lambda: problem.weights),
            "failing": Pass(lambda: 1 / 0, lambda: problem.weights),
        }


class Restless(Peer):
    """A thread of it never rests."""

    def __init__(self, threads):
        super().__init__(threads)
        threading.Thread(target=spin, daemon=True).start()


class Wrong(Peer):
    """Trains with other losses, and dies of inference."""

    def inference(self, problem, task):
        print("cannot go on", flush=True)
        os._exit(3)

    def training(self, problem, task):
        return {"only": lambda: 1.0}


class Stuck(Peer):
    """Never answers."""

    def inference(self, problem, task):
        time.sleep(3600)


class Idle(Peer):
    """Can do nothing."""


class Broken(Peer):
    """Cannot be opened."""

    def __init__(self, threads):
        raise OSError("no such library")


def spin():
    while True:
        pass
