"""Why a clip is not in the shards: a closed list, split into what a rerun may mend and what it may not."""

PERMANENT: dict[str, str] = {
    "duplicate": "another file of the folder has the same stem, or the list names the clip twice",
    "bad-row": "the list's row, or the file's place, is not as the dataset's format says",
    "no-camera": "the list of cameras has none for this image",
    "bad-name": "the file's name is not valid UTF-8, or not a plain name",
    "bad-url": "the list's address is not one of a YouTube video or of a file on the web",
    "not-a-video": "the file's suffix is not one of a video, or the source answers with something else",
    "removed": "the source no longer offers this video",
    "private": "the source asks for a login, an age or a payment",
    "region": "the source does not offer this video in this country",
    "missing": "the file is not where the sheet says",
    "hash-mismatch": "the file is not the one that was pinned by sha256",
    "empty-file": "the file holds no bytes",
    "corrupt": "no frame of the file can be decoded",
    "damaged": "too large a share of the frames is lost after the first broken one",
    "endless": "the video has more frames, or the download more bytes, than the limit",
    "size-changes": "the video's frames are not all of one size",
    "memory-limit": "the decoder needs more memory than it may use",
    "no-face": "no face is found in any frame",
    "too-short": "the face is not seen in one place for enough frames",
    "too-small": "the face is smaller than the smallest that is used",
    "leaves-the-frame": "the enlarged face box leaves the frame",
    "zero-size": "the face box has no area",
    "no-segment": "the clip is shorter than the parts that its sheet names",
    "no-pose": "no camera explains the landmarks, or the head lies on its side",
}
"""Permanent reasons: the same input gives the same answer."""

TRANSIENT: dict[str, str] = {
    "timeout": "the download or the decoder did not answer in time",
    "rate-limit": "the source asked to slow down",
    "blocked": "the source refused this machine",
    "live": "the video is still live, or not yet shown",
    "server-error": "the source or the network failed",
}
"""Transient reasons: a rerun tries these clips again."""

REASONS: dict[str, str] = PERMANENT | TRANSIENT
"""Every reason with its one-line explanation."""

STAGES = ("sheets", "fetch", "crop", "faces", "masks", "shards")
"""The stages in the order in which a clip passes them; photos go from the sheet to ``photos`` alone."""


class Dropped(Exception):
    """A clip (or tube) cannot go on: ``reason`` is one of :data:`REASONS`, ``detail`` the raw words of the error."""

    def __init__(self, reason: str, detail: str = "") -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}")
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def is_transient(reason: str) -> bool:
    """True when a rerun should try a clip with this reason again."""
    return reason in TRANSIENT
