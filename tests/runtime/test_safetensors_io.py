"""The same tensors and texts are the same bytes, whenever and by whomever they are written."""

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from sdunet.runtime.safetensors_io import read_tensors, write_weights

TEXTS = {"run": '{"a": "ü\u202e\\n"}', "state": "1", "any": "", "other": "2"}


def test_texts_stand_in_one_order_and_are_what_safetensors_reads(tmp_path):
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 5, dtype=torch.int64)}
    written = []
    for i in range(8):  # safetensors draws the order of each file anew
        write_weights(tmp_path / str(i), tensors, **TEXTS)
        written.append((tmp_path / str(i)).read_bytes())
    assert len(set(written)) == 1
    for found in (load_file(tmp_path / "0"), read_tensors(tmp_path / "0")[0]):
        assert {n: t.tolist() for n, t in found.items()} == {
            n: t.tolist() for n, t in tensors.items()
        }
    with safe_open(tmp_path / "0", "pt") as file:
        assert {n: t for n, t in file.metadata().items() if n != "sha256"} == TEXTS
    assert read_tensors(tmp_path / "0")[1] == TEXTS
