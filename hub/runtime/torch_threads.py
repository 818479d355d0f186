"""How the hub's threads share processor and interpreter."""

import gc
import sys
import threading
from typing import Final

import torch

_SWITCH_S: Final = 0.0001
_ONE_AT_A_TIME: Final = threading.Lock()
_own = threading.local()


def limit_torch_to_one_thread() -> None:
    """Have this thread compute alone, and leave all others as they are.

    For threads that work side by side, and for small batches of events, where a second core is mostly waited for.
    PyTorch keeps the number of each thread; whatever was set last is what new threads begin with. A thread that
    computes alone already is left as it is.
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
    """Have every thread of this process let go of the interpreter soon after another one asks.

    Products of matrices let go of it, and by default may wait 5 ms to have it back from a thread that reads messages.
    """
    sys.setswitchinterval(_SWITCH_S)


def settle() -> None:
    """Have garbage collections leave alone what is there by now, which lasts: each would look at all of it again."""
    gc.collect()
    gc.freeze()
