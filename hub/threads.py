"""How many processor cores a thread's products of matrices take."""

import threading

import torch


def one_thread() -> None:
    """Have this thread compute alone, and leave all others as they are.

    A batch of events is so small that a second core would mostly be waited for, while broker and store need it.
    PyTorch keeps the number of each thread; whatever was set last is what new threads begin with.
    """
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    last = threading.Thread(target=torch.set_num_threads, args=(cores,))
    last.start()
    last.join()
