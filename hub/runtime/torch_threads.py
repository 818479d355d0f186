"""Set how the hub's threads share processor and interpreter."""

import gc
import sys
import threading
from typing import Final

import torch

_SWITCH_S: Final = 0.0001
_ONE_AT_A_TIME: Final = threading.Lock()
_own = threading.local()


def limit_torch_to_one_thread() -> None:
    """Let PyTorch use one core for this thread, without changing other threads.

    Use it for threads that run in parallel, and for small batches of events, which gain little from a second core.
    PyTorch keeps the number of cores per thread, and new threads start with the last number set. A repeated call
    changes nothing.
    """
    if getattr(_own, "alone", False):
        return
    _own.alone = True
    with _ONE_AT_A_TIME:
        cores = torch.get_num_threads()
        torch.set_num_threads(1)
        last = threading.Thread(target=torch.set_num_threads, args=(cores,))
        last.start()
        last.join()


def shorten_switch_interval() -> None:
    """Shorten the time after which a thread of this process releases the interpreter to another.

    Matrix products release it, and by default may wait 5 ms until a thread that reads messages returns it.
    """
    sys.setswitchinterval(_SWITCH_S)


def settle() -> None:
    """Exclude all current objects, which stay until the end, from future garbage collections."""
    gc.collect()
    gc.freeze()
