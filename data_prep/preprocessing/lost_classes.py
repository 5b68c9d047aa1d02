"""What a class loses on the way to another grid, and from when on that is told."""

_LEAST = 0.5  # of the volume of a class, of which it keeps more wherever voxels are fine enough


def loss_of(before: int, after: int, growth: float, cut: int = 0) -> str | None:
    """Return what is lost of a class, to be told as `LBL_LOST`; `None` if nothing to speak of.

    Args:
        before: its voxels.
        after: those on the other grid.
        growth: how many times larger the voxels of that are.
        cut: of those before, how many lie where the other grid is not.
    """
    if not before:
        return None
    if not after:
        return f"none of its {before} voxels is left"
    if cut:
        return f"{cut} of its {before} voxels ({cut / before:.0%}) are cut off"
    kept = after * growth / before
    return f"{kept:.0%} of its volume is left, {before} voxels before" if kept < _LEAST else None
