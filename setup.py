"""Builds the compiled sweep; everything else stands in setup.cfg.

Needs a C++17 compiler. Without one the installation still succeeds, and the sweep runs in
PyTorch operations.
"""

import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("sdunet/ops/csrc")
FLAGS = ["-std=c++17", "-O3", "-g0", "-Wall", "-Wextra", "-Wno-psabi"]
# The kernels are compiled once for each instruction set; which one runs is chosen at run time.
SETS = {"portable": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    SETS |= {"avx2": ["-mavx2", "-mfma"], "avx512": ["-mavx512f", "-mavx512dq", "-mfma"]}


class BuildSweep(build_ext):
    """Compiles each file with its own flags into one library, loaded without Python's headers."""

    def build_extension(self, ext: Extension) -> None:
        """Compile and link."""
        objects = []
        for source in ext.sources:
            flags = FLAGS + SETS.get(Path(source).stem, [])
            objects += self.compiler.compile(
                [source], output_dir=self.build_temp, depends=ext.depends, extra_postargs=flags
            )
        library = self.get_ext_fullpath(ext.name)
        self.compiler.link_shared_object(objects, library, target_lang="c++")

    def get_ext_filename(self, name: str) -> str:
        """Return a name without Python's version: nothing in it depends on Python."""
        return str(Path(*name.split("."))) + ".so"


setup(
    ext_modules=[
        Extension(
            "sdunet.ops._sweep",
            [str(FOLDER / f"{name}.cpp") for name in ("sweep", "threads", *SETS)],
            depends=[str(path) for path in sorted(FOLDER.glob("*.h"))],
            language="c++",
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildSweep},
)
