import threading

import torch

from hub.runtime.torch_threads import limit_torch_to_one_thread


def cores() -> list[int]:
    """What a new thread begins with."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found


def test_one_thread_computes_alone_and_others_as_before() -> None:
    before, here = cores(), torch.get_num_threads()
    found: list[int] = []

    def alone() -> None:
        limit_torch_to_one_thread()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=alone)
    thread.start()
    thread.join()
    assert found == [1]
    assert cores() == before
    assert torch.get_num_threads() == here
