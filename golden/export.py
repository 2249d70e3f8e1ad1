#!/usr/bin/env python3
"""Writes a golden directory from released PyTorch model code and weights (needs torch and numpy only).

Run it where the code and the weights are; then, anywhere, `attest golden check OUT`:

    python3 golden/export.py --code MLRA/model/mlra_4.py --weights CHECKPOINT --tokens tokens.txt --out OUT \\
        [--generation-code MLRA/model/mlra_4_gen.py --prefill 48] [--float32]

The model code runs unchanged, on the CPU and in float64: attention kernels that need a GPU (flash-attn 2 and 3) are replaced by a plain
softmax, and every cast to float32 inside the model becomes a cast to float64. `--float32` records the code as released too, in float32
(shipped_fp32.*). `--code` is a file that defines the model class (`--class`, default GPT) and its configuration class; code that needs
something else can be built by a function instead: `--factory FILE.py:FUNCTION`, called with (weights folder, torch dtype), returns the
loaded module. transformers is used when it is installed and replaced by two empty classes when it is not.
tokens.txt holds one sequence of token identifiers a line, all of one length.
"""
import argparse
import contextlib
import importlib.util
import inspect
import json
import pathlib
import shutil
import struct
import sys
import types

import numpy
import torch


# --------------------------------------------------------------------------------------------------- reading and writing weights
SAFETENSORS_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
                     "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
                     "BOOL": torch.bool}


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        dtype = SAFETENSORS_TYPES[entry["dtype"]]
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=dtype) if end > begin else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def read_file(path):
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def weight_files(folder):
    """The files of a checkpoint in the order of preference that transformers has."""
    for single, index in (("model.safetensors", "model.safetensors.index.json"),
                          ("pytorch_model.bin", "pytorch_model.bin.index.json")):
        if (folder / single).exists():
            return [folder / single], []
        if (folder / index).exists():
            weight_map = json.loads((folder / index).read_text())["weight_map"]
            return [folder / name for name in sorted(set(weight_map.values()))], [folder / index]
    raise SystemExit(f"{folder}: holds no weights")


def write_golden(path, tensors, metadata):
    types_of = {"float64": "F64", "float32": "F32", "int64": "I64"}
    header, offset = {"__metadata__": metadata}, 0
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in order:
        size = tensors[name].nbytes
        header[name] = {"dtype": types_of[str(tensors[name].dtype)], "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(numpy.ascontiguousarray(tensors[name]).tobytes())
    temporary.replace(path)


# ------------------------------------------------------------------------------------------- what replaces GPU kernels and libraries
def plain_attention(q, k, v, softmax_scale=None, causal=False, qv=None, **others):
    """softmax(scale (q k^T + qv v^T)) v; q [B, T, H, D], k [B, S, G, D], v [B, S, G, Dv]; causal is aligned bottom-right."""
    unknown = {name for name, value in others.items() if value not in (None, False, 0, 0.0, 1, (-1, -1))}
    if unknown:
        raise SystemExit(f"flash attention is called with {sorted(unknown)}, which this export does not compute")
    group = q.shape[2] // k.shape[2]
    keys, values = k.repeat_interleave(group, dim=2), v.repeat_interleave(group, dim=2)
    scale = softmax_scale
    if scale is None:  # the default of FlashAttention 3
        scale = (q.shape[-1] + (qv.shape[-1] if qv is not None else 0)) ** -0.5
    scores = torch.einsum("bthd,bshd->bhts", q, keys)
    if qv is not None:
        scores = scores + torch.einsum("bthd,bshd->bhts", qv, values)
    scores = scores * scale
    if causal:
        queries, length = scores.shape[-2:]
        hidden = torch.ones(queries, length, dtype=torch.bool).triu(length - queries + 1)
        scores = scores.masked_fill(hidden, float("-inf"))
    return torch.einsum("bhts,bshd->bthd", scores.softmax(dim=-1), values)


def plain_attention_with_cache(q, k_cache, v_cache, cache_seqlens=None, **others):
    length = k_cache.shape[1] if cache_seqlens is None else int(cache_seqlens.reshape(-1)[0])
    return plain_attention(q, k_cache[:, :length], v_cache[:, :length], **others)


def install_stand_ins():
    for name in ("flash_attn_interface", "flash_attn"):
        module = types.ModuleType(name)
        module.__spec__ = importlib.util.spec_from_loader(name, loader=None)  # transformers looks whether there is one
        module.flash_attn_func = plain_attention
        module.flash_attn_with_kvcache = plain_attention_with_cache
        sys.modules[name] = module
    if importlib.util.find_spec("transformers") is not None:
        return

    class PretrainedConfig:
        def __init__(self, **fields):
            for name, value in fields.items():
                setattr(self, name, value)

    class PreTrainedModel(torch.nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config = config

    class CausalLMOutputWithPast:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    contents = {"transformers": (PretrainedConfig, PreTrainedModel), "transformers.configuration_utils": (PretrainedConfig,),
                "transformers.modeling_utils": (PreTrainedModel,), "transformers.modeling_outputs": (CausalLMOutputWithPast,)}
    for name, classes in contents.items():
        module = types.ModuleType(name)
        for cls in classes:
            setattr(module, cls.__name__, cls)
        sys.modules[name] = module


@contextlib.contextmanager
def arithmetic_in(dtype):
    """Inside, model code that asks for float32 gets `dtype`, and code that asks for autocasting to something shorter gets none."""
    single = torch.float32
    saved = torch.Tensor.to, torch.Tensor.float, torch.Tensor.type, torch.get_default_dtype()
    saved_autocast = torch.autocast, torch.cuda.amp.autocast
    torch.autocast = torch.cuda.amp.autocast = lambda *arguments, **named: contextlib.nullcontext()

    def replaced(value):
        return dtype if value is single else value

    def to(tensor, *arguments, **named):
        return saved[0](tensor, *map(replaced, arguments), **{name: replaced(value) for name, value in named.items()})

    if dtype is not single:
        torch.float32 = torch.float = dtype  # for code that names it: torch.arange(.., dtype=torch.float)
        torch.Tensor.to = to
        torch.Tensor.float = lambda tensor: saved[0](tensor, dtype)
        torch.Tensor.type = lambda tensor, *arguments: saved[2](tensor, *map(replaced, arguments))
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.float32 = torch.float = single
        torch.Tensor.to, torch.Tensor.float, torch.Tensor.type = saved[:3]
        torch.autocast, torch.cuda.amp.autocast = saved_autocast
        torch.set_default_dtype(saved[3])


# ------------------------------------------------------------------------------------------------------------------ running the model
def load_code(path):
    spec = importlib.util.spec_from_file_location("released_" + path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(code, class_name, folder, dtype):
    model_class = getattr(load_code(code), class_name)
    fields = json.loads((folder / "config.json").read_text())
    model = model_class(model_class.config_class(**fields)).to(dtype).eval()
    state = {}
    for file in weight_files(folder)[0]:
        state.update(read_file(file))
    names = set(model.state_dict())
    unexpected = sorted(set(state) - names)
    if unexpected:
        raise SystemExit(f"{folder}: tensor {unexpected[0]!r} is unknown to {code.name}'s {class_name}")
    model.load_state_dict({name: value.to(dtype) for name, value in state.items()}, strict=False)
    loaded = {parameter.data_ptr() for name, parameter in model.named_parameters(remove_duplicate=False) if name in state} \
        if "remove_duplicate" in inspect.signature(model.named_parameters).parameters else \
        {value.data_ptr() for name, value in model.state_dict().items() if name in state}
    for name, value in model.state_dict().items():  # a tied tensor may be saved under one of its names
        if name not in state and value.data_ptr() not in loaded:
            raise SystemExit(f"{folder}: tensor {name!r} is missing")
    return model


def attention_modules(model):
    modules = dict(model.named_modules())
    for pattern in ("transformer.h.{}.attn", "model.layers.{}.self_attn", "layers.{}.attn"):
        found = []
        while pattern.format(len(found)) in modules:
            found.append(modules[pattern.format(len(found))])
        if found:
            return found
    raise SystemExit("no attention modules were found under transformer.h.N.attn or model.layers.N.self_attn")


def logits_of(model, ids):
    named = {"output_all_seq": True} if "output_all_seq" in inspect.signature(model.forward).parameters else {}
    result = model(ids, **named)
    return result.logits if hasattr(result, "logits") else result[0] if isinstance(result, tuple) else result


def array(tensor):
    return tensor.detach().contiguous().numpy()


def run_forward(model, ids):
    tensors, handles = {}, []

    def recorder(layer):
        def record(module, arguments, named, output):
            given = arguments[0] if arguments else named["hidden_states"]
            tensors[f"layers.{layer}.attn.input"] = array(given)
            tensors[f"layers.{layer}.attn.output"] = array(output[0] if isinstance(output, tuple) else output)
        return record

    for layer, module in enumerate(attention_modules(model)):
        record = recorder(layer)
        try:
            handles.append(module.register_forward_hook(record, with_kwargs=True))
        except TypeError:  # before PyTorch 2.0
            handles.append(module.register_forward_hook(
                lambda module, arguments, output, record=record: record(module, arguments, {}, output)))
    with torch.no_grad():
        tensors["logits"] = array(logits_of(model, ids))
    for handle in handles:
        handle.remove()
    return tensors


def run_generation(model, ids, prefill):
    for module in attention_modules(model):
        if hasattr(module, "_precompute_absorption"):
            module._precompute_absorption()
    model.reset_cache()
    with torch.no_grad():
        parts = [logits_of(model, ids[:, :prefill])]
        for token in range(prefill, ids.shape[1]):
            parts.append(logits_of(model, ids[:, token:token + 1]))
    first = attention_modules(model)[0]
    tensors = {"decode.logits": array(torch.cat(parts, dim=1))}
    if getattr(first, "k_cache", None) is not None:
        tensors["decode.layers.0.rope_key_cache"] = array(first.k_cache)
        for latent, cache in enumerate(first.v_caches):
            tensors[f"decode.layers.0.latent_cache.{latent}"] = array(cache)
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", type=pathlib.Path, help="model file")
    parser.add_argument("--class", dest="class_name", default="GPT", help="model class in it")
    parser.add_argument("--factory", help="FILE.py:FUNCTION(weights folder, dtype) -> module, instead of --code")
    parser.add_argument("--weights", type=pathlib.Path, required=True, help="folder with config.json and weights")
    parser.add_argument("--tokens", type=pathlib.Path, required=True, help="token identifiers, one sequence a line")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="golden directory to write")
    parser.add_argument("--variant", help="config.json's attention_variant; default: the code file's name")
    parser.add_argument("--float32", action="store_true", help="record the code as released in float32, too")
    parser.add_argument("--generation-code", type=pathlib.Path, help="model file of the released generation path")
    parser.add_argument("--prefill", type=int, help="tokens of its prefill; default: half")
    options = parser.parse_args()
    if (options.code is None) == (options.factory is None):
        parser.error("give --code or --factory")
    install_stand_ins()

    rows = [[int(word) for word in line.replace(",", " ").split()] for line in options.tokens.read_text().splitlines() if line.strip()]
    if not rows or len({len(row) for row in rows}) != 1:
        raise SystemExit(f"{options.tokens}: expected lines of one length")
    ids = torch.tensor(rows, dtype=torch.int64)

    def model_in(dtype):
        if options.factory:
            file, function = options.factory.rsplit(":", 1)
            return getattr(load_code(pathlib.Path(file)), function)(options.weights, dtype).to(dtype).eval()
        return build(options.code, options.class_name, options.weights, dtype)

    with arithmetic_in(torch.float64):
        tensors = run_forward(model_in(torch.float64), ids)
    if options.float32:
        with arithmetic_in(torch.float32):
            released = run_forward(model_in(torch.float32), ids)
        tensors.update({"shipped_fp32." + name: value for name, value in released.items() if not name.endswith("attn.input")})
    variant = options.variant or (options.code.stem if options.code else None)
    metadata = {"source": f"golden/export.py, torch {torch.__version__}, released code in float64 arithmetic"}
    if variant:
        metadata["variant"] = variant
    if options.generation_code:
        prefill = options.prefill or max(1, ids.shape[1] // 2)
        with arithmetic_in(torch.float64):
            model = build(options.generation_code, options.class_name, options.weights, torch.float64)
            tensors.update(run_generation(model, ids, prefill))
        metadata["prefill_length"] = str(prefill)
    tensors["input_ids"] = array(ids)

    options.out.mkdir(parents=True, exist_ok=True)
    if options.out.resolve() != options.weights.resolve():
        files, index = weight_files(options.weights)
        for file in files + index:
            shutil.copyfile(file, options.out / file.name)
    fields = json.loads((options.weights / "config.json").read_text())
    if variant and not options.factory:
        fields.setdefault("attention_variant", variant)
    (options.out / "config.json").write_text(json.dumps(fields, indent=2) + "\n")
    write_golden(options.out / "golden.safetensors", tensors, metadata)
    print(f"{options.out}: {len(tensors)} tensors of {ids.shape[0]} sequences of {ids.shape[1]} tokens")


if __name__ == "__main__":
    main()
