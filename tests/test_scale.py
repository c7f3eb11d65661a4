"""The guide to clusters: its examples run where their packages are, and read as one process."""

from __future__ import annotations

import functools
import re
import threading
import types

import numpy as np
import pytest
import scaling

from bench import scale
from lenet_c import Adam, LeNet5, Trainer, datasets


def counts(text):
    """Give the tables of ten counts that were printed."""
    return [list(map(int, row.split())) for row in re.findall(r"\[([\d\s]+)\]", text)]


@functools.cache
def wanted(n=None):
    """Count what the first pictures are read as."""
    images = datasets.digits()[0][0]
    return np.bincount(LeNet5.pretrained("mnist").predict(images[:n]), minlength=10).tolist()


FIRST_SHARD = 180  # pictures, of 1,437 in eight files


@pytest.mark.parametrize(
    ("kind", "tables"),
    [
        ("joblib", [None]),
        ("dask", [None, None, FIRST_SHARD]),
        ("ray", [None]),
        ("spark", [FIRST_SHARD]),
        ("optuna", []),
        ("mpi", []),
    ],
)
def test_examples(kind, tables, tmp_path):
    if missing := scaling.lacks(kind):
        pytest.skip(f"needs {', '.join(missing)}")
    printed = scaling.run(kind, tmp_path)
    assert counts(printed[0]) == [wanted(n) for n in tables]
    if kind == "dask":
        assert float(re.fullmatch(r"\{'learning_rate': 0\.00\d\} (0\.\d+)\n", printed[1])[1]) > 0.5
    if kind == "optuna":
        assert re.fullmatch(r"\{'rate': .*, 'network': 'lenet5-.*'\} 0\.\d+\n", printed[0])
    if kind == "mpi":
        assert float(printed[0].split()[0]) < 0.1
        assert len(set(printed)) == 1  # with any number of ranks the same bits


def test_every_block_is_an_example():
    page = scaling.PAGE.read_text(encoding="utf-8")
    found = [name for kind in scaling.NEEDS for name in scaling.examples(kind)]
    assert len(found) + 1 == page.count("```python\n")
    assert all(f" {kind}" in f" {page}".lower() for kind in scaling.NEEDS)


# ---- data-parallel training, by threads that play the ranks ----


class Ranks:
    """What the example calls of MPI, among threads."""

    def __init__(self, size):
        self.size, self.barrier, self.sent = size, threading.Barrier(size), [None] * size

    def exchange(self, rank, given):
        self.sent[rank] = given
        self.barrier.wait(60)
        found = list(self.sent)
        self.barrier.wait(60)
        return found

    def run(self, work):
        """Call work(comm) as each rank; give what each gave."""
        found = [None] * self.size

        def play(rank):
            comm = types.SimpleNamespace(
                rank=rank,
                size=self.size,
                allgather=functools.partial(self.exchange, rank),
                alltoall=lambda parts: [sent[rank] for sent in self.exchange(rank, parts)],
            )
            try:
                found[rank] = work(comm)
            except BaseException:
                self.barrier.abort()
                raise

        threads = [threading.Thread(target=play, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


@pytest.mark.parametrize("blocks", [2, 8, 10])
def test_the_same_bits_for_any_number_of_ranks(blocks):
    example = scale.example()
    example["BLOCKS"] = blocks
    n = 32 * blocks
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (2 * n + 7, 28, 28), np.uint8), np.arange(2 * n + 7) % 10

    def work(comm):
        trainer = Trainer(LeNet5("lenet5-28"), Adam(1e-3))
        example["train"](comm, trainer, images, labels, epochs=2, seed=5)
        assert trainer.n_updates == 4
        return trainer.network.parameters.tobytes()

    found = [bits for ranks in (1, 2, 3, 11) for bits in Ranks(ranks).run(work)]
    assert len(found) == 17
    assert len(set(found)) == 1
    alone = Trainer(LeNet5("lenet5-28"), Adam(1e-3))
    rng = np.random.default_rng(5)
    for _ in range(2):
        order = rng.permutation(len(images))
        for k in range(2):
            rows = order[k * n : (k + 1) * n]
            alone.step(images[rows], labels[rows])
    same = alone.network.parameters.tobytes() == found[0]
    assert same or blocks == 10  # no power of two: a tenth is rounded
    other = np.frombuffer(found[0], np.float32)
    np.testing.assert_allclose(alone.network.parameters, other, atol=1e-3)


def test_the_schedule_of_many_ranks():
    """It spans all updates, as `fit` has it."""
    images, labels = datasets.digits()[0]
    rates = []
    trainer = Trainer(LeNet5("lenet5-28"), Adam(1e-3, schedule="one_cycle"))
    apply = trainer.apply

    def noted(gradient, n, *, rate, images):
        rates.append(rate)
        apply(gradient, n, rate=rate, images=images)

    trainer.apply = noted
    example = scale.example()
    Ranks(1).run(lambda comm: example["train"](comm, trainer, images, labels, 2))
    steps = len(images) // (example["BLOCK"] * example["BLOCKS"])
    assert rates == [trainer.optimizer.rate(k, 2 * steps, 1 + k // steps) for k in range(2 * steps)]
    assert trainer.network.learnt_from.n > 0


# ---- object stores ----


def test_pictures_from_an_object_store(tmp_path, monkeypatch):
    """What is said of s3:// holds: a store of moto's, on this machine."""
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server")
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    store = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    store.start()
    try:
        address = "http://{}:{}".format(*store.get_host_and_port())
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        fsspec.filesystem("s3").mkdir("bucket")
        images = datasets.digits()[0][0][:50]
        with fsspec.open("s3://bucket/shards/0.npy", "wb") as file:
            np.save(file, images)
        with fsspec.open("s3://bucket/shards/0.npy") as file:
            np.testing.assert_array_equal(np.load(file), images)
    finally:
        store.stop()


# ---- what it costs, on paper ----


def test_on_paper():
    way = scale.Way("one", start=10.0, task=0.001, rate=100_000, beside=1.0, memory=100)
    # ten seconds of start, and of 200 cores; or of one scheduler, where that is slower
    assert scale.on_paper(way, 10**8, machines=10, cores=2) == pytest.approx(10 + 50)
    assert scale.on_paper(way, 10**8, machines=1000, cores=2) == pytest.approx(10 + 5)


def test_where_it_breaks_even():
    way = scale.Way("one", start=9.0, task=0.0, rate=100_000, beside=1.0, memory=100)
    seconds = scale.breaks_even(way, alone=200_000, machines=10, cores=2)
    assert seconds == pytest.approx(10)
    assert scale.on_paper(way, seconds * 200_000, 10, 2) == pytest.approx(seconds)
    assert scale.breaks_even(way, alone=200_000, machines=1, cores=2) is None


def test_the_report(tmp_path, monkeypatch, capsys):
    images, labels = datasets.digits()[0]
    data = (images[:600], labels[:600]), (images[:100], labels[:100])
    monkeypatch.setattr(scale, "mnist", lambda: data)
    for name, value in (("FILES", 4), ("PER_FILE", 50), ("TASKS", 4), ("ROUNDS", 1)):
        monkeypatch.setattr(scale, name, value)
    scale.make_files(tmp_path)
    monkeypatch.setattr(scale, "BATCHES", (64, 128))
    ways = {name: scale.measure(name, tmp_path, 2) for name in ("one", "threads")}
    ways["dask"] = scale.Way("Dask, workers", 2.0, 0.001, ways["one"].rate, 0.9, 90.0)
    rows = {"one process, one thread": scale.by_threads(1)}
    text = scale.report(ways, rows, 2, 240_000.0)
    assert text.count("\n| ") == 3 + 1 + 1 + 1 + 3 + 1 + 1 + 2
    page = tmp_path / "scale.md"
    page.write_text(f"before\n{scale.BEGIN}\nold\n{scale.END}\nafter\n")
    scale.write(text, page)
    written = page.read_text()
    assert written.startswith(f"before\n{scale.BEGIN}\n\n`python -m bench.scale")
    assert written.endswith(f"{scale.END}\nafter\n")
    assert "old" not in written
