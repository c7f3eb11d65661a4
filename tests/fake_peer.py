"""Contenders that test_peers runs in processes of their own."""

import os
import threading

from bench.peers.peer import Peer


class Honest(Peer):
    """Right in two settings, wrong in one, slow in one; a thread of it never rests."""

    def __init__(self, threads):
        super().__init__(threads)
        threading.Thread(target=spin, daemon=True).start()
        print("a library's chatter", flush=True)

    def inference(self, problem, task):
        images = problem.images[: task.batch]

        def right():
            return problem.network.forward(images, num_threads=1)

        return {
            "wrong": lambda: right() + 2e-4,
            "slow": lambda: [right() for _ in range(50)][-1],
            "fast": right,
            "short": lambda: right()[:, 1:],
        }


class Wrong(Peer):
    """Trains with other losses, and dies of inference."""

    def inference(self, problem, task):
        print("cannot go on", flush=True)
        os._exit(3)

    def training(self, problem, task):
        return {"only": lambda: 1.0}


class Broken(Peer):
    """Cannot be opened."""

    def __init__(self, threads):
        raise OSError("no such library")


def spin():
    while True:
        pass
