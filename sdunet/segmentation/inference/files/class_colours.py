"""The colour of each class, alike wherever classes are shown: none is one of the error map."""

_COLOURS = (
    *("#ffd92f", "#00e5ff", "#ff7f00", "#f781bf", "#b2df8a", "#cab2d6"),
    *("#e31a1c", "#1f78b4", "#33a02c", "#6a3d9a", "#b15928", "#ffffff"),
)


def colour_of(number: int) -> str:
    """Return the colour of a class from 1 on, `#rrggbb`; after twelve they begin again."""
    return _COLOURS[(int(number) - 1) % len(_COLOURS)]


def bytes_of_colour(number: int) -> tuple[int, int, int]:
    """Return red, green and blue of the colour of a class, 0 to 255 each."""
    red, green, blue = bytes.fromhex(colour_of(number)[1:])
    return red, green, blue
