"""Loads a model of transformers for export.py, with attention written out and in the arithmetic that export.py asks for:

    python3 golden/export.py --factory golden/transformers_model.py:load --weights CHECKPOINT --tokens tokens.txt --out OUT --float32
"""
import pathlib

import torch
import transformers


def load(folder, dtype):
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").to(dtype)
    state = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict()
    missing, unexpected = model.load_state_dict({name: value.to(dtype) for name, value in state.items()}, strict=False)
    if missing or unexpected:
        raise SystemExit(f"{pathlib.Path(folder)}: tensors missing {missing}, unknown {unexpected}")
    return model
