"""The files in a zip or tar archive, read where they lie: nothing is unpacked to disk.

What an archive can hold besides plain files (links, devices, files with holes) and names that
stand in it twice are not guessed over: they are listed as lost, for whoever needs them to refuse.
"""

import bz2
import gzip
import io
import lzma
import os
import posixpath
import re
import stat
import struct
import tarfile
import weakref
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from data_prep.core.errors import DataError, named_errors, words_of
from data_prep.core.memory_limits import check_bytes

_AGAIN = "fetch the archive again"
_UNPACK = "unpack it, and give the folder instead"
_PIECE = 1 << 20
_END_MARK = 2  # of a member's flags: its LZMA stream ends with a mark
_HEADER = 1 << 20  # more than any header of a tar takes
_DIRECTORY = 1 << 26  # more than the directory of a zip of 500,000 files takes
_FOLDER = "a folder"
_GAP = 64  # bytes after a file, of which a descriptor of it takes 24 at most
_END = 22  # bytes of the end of a zip, without its comment
_Unpacking = gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
_PACKED: dict[bytes, Callable[[Path], _Unpacking]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
_ENCRYPTED = 1  # of a member's flags
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# What is known and not opened, by its first bytes and, where those are no mark, by its suffix.
_OTHERS = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a file compressed by zstd",
    b"-----BEGIN PGP MESSAGE": "a file encrypted by PGP",
    b"age-encryption.org/": "a file encrypted by age",
    b"Salted__": "a file encrypted by OpenSSL",
}
_ABSOLUTE = re.compile(r"/|[A-Za-z]:")  # from the root of a disc, or by the letter of one
_ENCRYPTED_SUFFIXES = (".gpg", ".pgp", ".age", ".enc", ".p7m", ".aes")


@dataclass(frozen=True)
class Archive:
    """An archive that was opened.

    Attributes:
        names: of all members but folders, relative, with `/`.
        lost: of those that are not read, what they are.
        read: the content of a member, whole or at most its first bytes.
    """

    names: tuple[str, ...]
    lost: dict[str, str]
    read: Callable[[str, int | None], bytes]


def open_archive(path: Path) -> Archive | None:
    """Open a zip or an uncompressed tar, told by its content; `None` for any other file.

    Raises:
        DataError: IO_ARCHIVE if it is one of them and damaged, or one that is known and not
            opened: encrypted, a compressed tar, 7z, RAR.
    """
    with named_errors(str(path), _AGAIN, "IO_ARCHIVE"):
        if other := _other_archive(path):
            fix = f"decrypt and {_UNPACK}" if "encrypted" in other else _UNPACK
            raise DataError("IO_ARCHIVE", other, fix)
        if zipfile.is_zipfile(path):
            return _open_zip(path)
        if _starts_as_zip(path):
            found = "it is cut or damaged: a zip without its directory, which is its end"
            raise DataError("IO_ARCHIVE", found, _AGAIN)
        if _is_packed_tar(path):
            raise DataError("IO_ARCHIVE", "a compressed tar", _UNPACK)
        try:
            with _Stepwise(path, _HEADER) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                return _open_tar(path, archive)
        except tarfile.ReadError:
            if path.suffix.lower() == ".tar":
                raise
            return None


def _starts_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int | None = None
) -> bytes:
    """Unpack a member of a zip, whole or at most its first `limit` bytes, in pieces.

    Raises:
        DataError: IO_MEMBER if it is encrypted or packed by an unknown method; IO_TOO_LARGE,
            IO_MEMORY by the declared size; IO_CRC if another size comes.
    """
    if sealed := _sealed(member):
        raise DataError("IO_MEMBER", f"{sealed} in an archive", "unpack it, and give what is in it")
    size = member.file_size if limit is None else min(limit, member.file_size)
    check_bytes(size)
    wanted = size + 1 if limit is None else size  # one byte more, which must not come
    try:
        with _unpacking(archive, member) as stream:
            data = _taken(stream, wanted)
    except DataError:
        raise
    # What is raised for damaged members is no closed list.
    except Exception as error:
        raise DataError("IO_CRC", f"damaged archive member: {words_of(error)}", _AGAIN) from error
    if len(data) != size:
        found = f"{len(data)} bytes or more, declared are {member.file_size}"
        raise DataError("IO_CRC", f"damaged archive member: {found}", _AGAIN)
    if size == member.file_size and zlib.crc32(data) != member.CRC:
        raise DataError("IO_CRC", "damaged archive member: its checksum is another", _AGAIN)
    return data


def _unpacking(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """Return the content of a member as a stream that unpacks no more than is asked for."""
    changed = copy(member)
    del changed.CRC  # of the content; zipfile would compare it with something else here
    if member.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        changed.file_size += 1  # or it would stop at the size declared, whatever follows
        return archive.open(changed)
    # Of these, zipfile unpacks whole what comes, a gigabyte of a few hundred bytes.
    changed.compress_type, changed.file_size = zipfile.ZIP_STORED, member.compress_size
    with archive.open(changed) as stream:
        packed = stream.read(check_bytes(member.compress_size))
    if member.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2File(io.BytesIO(packed))
    # Its head in a zip, and that of a file of its own: properties and size, -1 for an end mark.
    (length,) = struct.unpack_from("<H", packed, 2)
    size = -1 if member.flag_bits & _END_MARK else member.file_size
    packed = packed[4 : 4 + length] + struct.pack("<q", size) + packed[4 + length :]
    return lzma.LZMAFile(io.BytesIO(packed), format=lzma.FORMAT_ALONE)


def _taken(stream: IO[bytes], wanted: int) -> bytes:
    out = io.BytesIO()
    while (left := wanted - out.tell()) > 0 and (data := stream.read(min(_PIECE, left))):
        out.write(data)
    return out.getvalue()


class _Stepwise(io.FileIO):
    """A file that is read in steps: a larger one is asked for only by a damaged header."""

    def __init__(self, path: Path, step: int) -> None:
        super().__init__(path)
        self._step = step

    def read(self, size: int | None = -1) -> bytes:
        """Read as any file, up to the largest step."""
        if size is None or size < 0:
            size = max(0, os.fstat(self.fileno()).st_size - self.tell())
        if size > self._step:
            raise DataError("IO_ARCHIVE", f"a header of {size} bytes", _AGAIN)
        return super().read(size)


def _open_zip(path: Path) -> Archive:
    file = _Stepwise(path, _DIRECTORY)
    try:
        archive = zipfile.ZipFile(file)
        check_zip(archive, file)
    except BaseException:
        file.close()
        raise
    weakref.finalize(archive, file.close)  # it closes only files that it opened itself
    members = archive.infolist()
    members = [member for member in members if _zip_kind(member) != _FOLDER]
    kinds = [_zip_kind(member) or _sealed(member) for member in members]
    if members and all(member.flag_bits & _ENCRYPTED for member in members):
        fix = f"decrypt and {_UNPACK}"
        raise DataError("IO_ARCHIVE", "every file in it is encrypted", fix)
    written = [member.filename for member in members]
    names = [*map(_plain, written)]
    places = dict(zip(names, members, strict=True))

    def read(name: str, limit: int | None) -> bytes:
        return read_member(archive, places[name], limit)

    return Archive(tuple(places), _lost(names, written, kinds), read)


def check_zip(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Refuse a file that is more than one zip from its first byte to its last.

    Bytes before or after it may be another archive, whose files would be lost without a word.

    Args:
        archive: as it was opened.
        file: what it was opened of.

    Raises:
        DataError: IO_ARCHIVE; also if it tells of another number of files than it lists.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (1 << 16) - _END))
    end = file.read()
    at = end.rindex(b"PK\5\6")
    declared, (comment,) = (struct.unpack_from("<H", end, at + n) for n in (10, 20))
    members = archive.infolist()
    if declared[0] not in (len(members) % (1 << 16), 0xFFFF):
        found = f"its directory lists {len(members)} files of {declared[0]}"
        raise DataError("IO_ARCHIVE", found, _AGAIN)
    before = min((member.header_offset for member in members), default=0)
    after = len(end) - at - _END - comment
    file.seek(max(0, before))
    if before < 0 or (members and file.read(4) != b"PK\3\4"):
        raise DataError("IO_ARCHIVE", "it is cut or damaged: its files lie elsewhere", _AGAIN)
    for bytes_, where in ((before, "before"), (after, "after")):
        if bytes_:
            found = f"{bytes_} bytes {where} its files, which may be another archive"
            raise DataError("IO_ARCHIVE", found, _UNPACK)
    _check_listed(archive, file)


def _check_listed(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Refuse a zip that holds files which its directory does not list: they would be lost.

    Raises:
        DataError: IO_ARCHIVE.
    """
    members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    starts = [*(member.header_offset for member in members), archive.start_dir][1:]
    for member, start in zip(members, starts, strict=True):
        file.seek(member.header_offset + 26)
        end = file.tell() + 4 + sum(struct.unpack("<HH", file.read(4))) + member.compress_size
        if start > end + 3:
            file.seek(end)
            between = file.read(min(start - end, _GAP))
            if b"PK\3\4" in between:
                found = f"a file after {member.filename!r} that its directory does not list"
                raise DataError("IO_ARCHIVE", found, _UNPACK)


def _zip_kind(member: zipfile.ZipInfo) -> str:
    """Return what a member is, by its Unix mode and its name; empty for a plain file."""
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode) or member.is_dir():
        return "a folder with content" if member.file_size else _FOLDER
    return "" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "a device or a pipe"


def _sealed(member: zipfile.ZipInfo) -> str:
    """Return why the content of a member cannot be had; empty if it can."""
    if member.flag_bits & _ENCRYPTED:
        return "an encrypted file"
    if member.compress_type not in _METHODS:
        return f"a file packed by method {member.compress_type}"
    return ""


def _open_tar(path: Path, archive: tarfile.TarFile) -> Archive:
    members = archive.getmembers()
    _check_tar_end(path, archive.offset)
    members = [member for member in members if not member.isdir()]
    written = [member.name for member in members]
    names = [*map(_plain, written)]
    kinds = [_tar_kind(member) for member in members]
    places = {n: (m.offset_data, m.size) for n, m in zip(names, members, strict=True)}

    def read(name: str, limit: int | None) -> bytes:
        start, size = places[name]
        wanted = check_bytes(size if limit is None else min(size, limit))
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(wanted)
        if len(data) != wanted:
            raise DataError("IO_TRUNCATED", "the archive ends early", _AGAIN)
        return data

    return Archive(tuple(places), _lost(names, written, kinds), read)


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.issparse():
        return "a file with holes"
    if member.islnk():
        return "a hard link"
    if member.issym():
        return "a symbolic link"
    return "" if member.type in tarfile.REGULAR_TYPES[:3] else "a device or a pipe"


def _check_tar_end(path: Path, end: int) -> None:
    """Python's tarfile stops quietly at a damaged header; only the end mark tells all was read."""
    with path.open("rb") as file:
        file.seek(end)
        rest = 0
        while data := file.read(_PIECE):
            rest += len(data)
            if any(data):
                raise DataError("IO_ARCHIVE", f"{path} is cut or damaged", _AGAIN)
    if rest < 2 * tarfile.BLOCKSIZE:
        raise DataError("IO_ARCHIVE", f"{path} is cut or damaged", _AGAIN)


def _other_archive(path: Path) -> str:
    """Return what a file is that holds others and is not opened; empty for any other file."""
    with path.open("rb") as file:
        start = file.read(32)
    if path.name.lower().endswith(_ENCRYPTED_SUFFIXES):
        return "an encrypted file"
    return next((what for mark, what in _OTHERS.items() if start.startswith(mark)), "")


def _is_packed_tar(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(8)
    unpack = next((unpack for magic, unpack in _PACKED.items() if start.startswith(magic)), None)
    if unpack is None:
        return False
    try:
        with unpack(path) as stream:
            tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    # Of a stream that is no tar, or none at all, anything may be raised.
    except Exception:
        return False
    return True


def _plain(name: str) -> str:
    """Write `./a//b` as `a/b`, as an archive and a list of its files may name it differently."""
    return posixpath.normpath(name).lstrip("/")


def _leads_out(name: str) -> bool:
    """Tell whether a name may lead out of the folder that an archive is unpacked to."""
    return _ABSOLUTE.match(name) is not None or ".." in name.split("/")


def _lost(names: list[str], written: Iterable[str], kinds: Iterable[str]) -> dict[str, str]:
    lost = {name: kind for name, kind in zip(names, kinds, strict=True) if kind}
    # Of a backslash, nothing tells whether it parts folders or is of a name.
    lost |= {name: "a name with a backslash" for name in names if "\\" in name}
    outside = {n for n, whole in zip(names, written, strict=True) if _leads_out(whole)}
    lost |= dict.fromkeys(outside, "a path out of the archive")
    doubled = {n: f"a name that is there {k} times" for n, k in Counter(names).items() if k > 1}
    return lost | doubled
