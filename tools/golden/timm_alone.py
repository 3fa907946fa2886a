"""timm without torchvision, of which its vision transformers use nothing: imports of it succeed, and
give empty classes."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types


class _Named(type):
    """Of classes whose attributes are their own names (InterpolationMode.NEAREST)."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return f"{cls.__name__}.{name}"


class _Empty(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Named(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Empty(spec.name)

    def exec_module(self, module):
        pass


def load():
    """The module timm. Call it after importing transformers, which asks whether torchvision exists."""
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.append(_Finder())
    import timm

    return timm
