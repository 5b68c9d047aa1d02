"""What in the name of a class other programs' files cannot hold."""

LONGEST = 64  # letters of a name in DICOM


def wrong_in_name(name: str, longest: int | None = None) -> str:
    r"""Return what a file cannot hold of a name, empty if it takes it.

    Control characters and those of direction would forge what a viewer shows.

    Args:
        name: of a class or region.
        longest: letters that it may have.

    Examples:
        >>> wrong_in_name("liver\u202e")
        'the character U+202E, which does not print'
    """
    if not name.strip():
        return "no letter"
    if "\\" in name:
        return "a backslash, which parts names"
    if not name.isprintable():
        first = next(c for c in name if not c.isprintable())
        return f"the character U+{ord(first):04X}, which does not print"
    if longest is not None and len(name) > longest:
        return f"{len(name)} letters, of which it may have {longest}"
    return ""
