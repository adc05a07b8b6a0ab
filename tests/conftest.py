"""What every test may use. Each of several pytest workers has its share of the cores."""

import os
import warnings
from collections.abc import Iterator

import pytest

import benchmark  # noqa: F401  before torch, whose threads then do not spin: test machines are small and shared

for size in ("COLUMNS", "LINES"):  # of a terminal that tests have not; their workers get them from somewhere
    os.environ.pop(size, None)
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if workers > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Torch must know of the pretended device before its first backward pass, which starts a thread for each device there is.

    It takes one device beside the CPU at a time: where tests of a GPU run, those of the pretended one do not.
    """
    of_gpu = [item for item in session.items if item.get_closest_marker("gpu")]
    others = [item for item in session.items if not item.get_closest_marker("gpu")]
    if any("[pretend" in item.name or item.path.name == "test_cuda.py" for item in others):
        import pretend
        import torch

        if not (of_gpu and torch.cuda.is_available()):
            pretend.register()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Arrays as small as those of tests are slower on several threads, and much slower where others want the processor too."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> str:
    """The first GPU, whose float32 means float32; what asks for it is skipped without one."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is older than torch's CUDA
        if not torch.cuda.is_available():
            pytest.skip("torch finds no CUDA device")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    return "cuda:0"


@pytest.fixture(params=["cpu", "pretend", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a test's tensors lie: the CPU, a device that has the CUDA kernels without a GPU (pretend.py), and a GPU (marked gpu)."""
    if request.param == "pretend":
        from pretend import pretending

        with pretending(monkeypatch) as name:
            yield name
    else:
        yield request.getfixturevalue("cuda") if request.param == "cuda" else "cpu"
