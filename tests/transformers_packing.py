"""The packing of sentence-transformers: one file of a library that needs torch."""

import importlib.util
import sys
import types

import numpy as np


def quantization_module():
    """Load ``sentence_transformers.util.quantization``, without torch if need be.

    Raises
    ------
    ImportError
        If sentence-transformers is not installed.
    """
    package = importlib.util.find_spec("sentence_transformers")
    if package is None:
        raise ImportError("sentence_transformers")
    if importlib.util.find_spec("torch") is not None:
        from sentence_transformers.util import quantization

        return quantization
    folder = package.submodule_search_locations[0]
    name = "_laws_st.quantization"
    torch = types.ModuleType("torch")
    torch.Tensor = type("Tensor", (), {})
    tensor = types.ModuleType("_laws_st.tensor")
    tensor._tensor_to_numpy = np.asarray
    parent = types.ModuleType("_laws_st")
    parent.__path__ = []
    stand_ins = {"torch": torch, "_laws_st": parent, "_laws_st.tensor": tensor}
    spec = importlib.util.spec_from_file_location(
        name, f"{folder}/util/quantization.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules.update(stand_ins)
    try:
        spec.loader.exec_module(module)
    finally:
        for stand_in in stand_ins:
            del sys.modules[stand_in]
    return module
