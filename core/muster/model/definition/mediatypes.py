"""What is in a file, going by the end of its name.

A table of our own: that of Python's ``mimetypes`` grows with each of its versions (3.11 knows neither .flac nor .mkv),
and the same name has to say the same to every machine of a cluster, and before anything runs.
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "application/octet-stream"


_BY_EXTENSION: Final = {
    extension: media_type
    for media_type, extensions in {
        "image/png": "png", "image/jpeg": "jpg jpeg jpe", "image/gif": "gif", "image/webp": "webp",
        "image/bmp": "bmp", "image/tiff": "tif tiff", "image/svg+xml": "svg", "image/avif": "avif",
        "image/heic": "heic", "image/heif": "heif", "image/jxl": "jxl", "image/vnd.microsoft.icon": "ico",
        "image/x-exr": "exr", "image/x-portable-pixmap": "ppm", "image/x-portable-graymap": "pgm",
        "audio/wav": "wav wave", "audio/mpeg": "mp3 mp2", "audio/flac": "flac", "audio/ogg": "ogg oga opus",
        "audio/aac": "aac", "audio/mp4": "m4a m4b", "audio/aiff": "aif aiff aifc", "audio/basic": "au snd",
        "audio/midi": "mid midi", "audio/x-ms-wma": "wma", "audio/amr": "amr",
        "video/mp4": "mp4 m4v", "video/x-matroska": "mkv", "video/webm": "webm", "video/quicktime": "mov qt",
        "video/x-msvideo": "avi", "video/mpeg": "mpeg mpg mpe", "video/ogg": "ogv", "video/mp2t": "ts m2ts",
        "video/x-flv": "flv", "video/x-ms-wmv": "wmv", "video/3gpp": "3gp",
        "application/pdf": "pdf", "text/csv": "csv", "text/tab-separated-values": "tsv",
        "text/plain": "txt text log", "text/markdown": "md markdown", "text/html": "html htm", "text/css": "css",
        "text/javascript": "js mjs", "text/vtt": "vtt", "application/x-subrip": "srt", "text/x-python": "py",
        "application/json": "json", "application/jsonl": "jsonl ndjson", "application/xml": "xml",
        "application/yaml": "yaml yml", "application/toml": "toml",
        "application/zip": "zip", "application/gzip": "gz tgz", "application/zstd": "zst", "application/x-xz": "xz",
        "application/x-bzip2": "bz2", "application/x-tar": "tar", "application/x-7z-compressed": "7z",
        "application/vnd.apache.parquet": "parquet", "application/vnd.apache.arrow.file": "arrow",
        "application/vnd.sqlite3": "sqlite sqlite3 db", "application/x-hdf5": "h5 hdf5",
        "application/wasm": "wasm", "application/epub+zip": "epub", "application/rtf": "rtf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
        "application/vnd.oasis.opendocument.text": "odt",
        "font/ttf": "ttf", "font/woff2": "woff2",
    }.items()
    for extension in extensions.split()
}  # fmt: skip


def media_type(name: str) -> str:
    """The media type of a file of this name; ``application/octet-stream`` where that cannot be told."""
    _, point, extension = name.rpartition(".")
    return _BY_EXTENSION.get(extension.lower(), UNKNOWN) if point else UNKNOWN


def examples(kind: str) -> str:
    """Ends of names of files of a kind (image, audio, video, pdf, csv): the first few."""
    found = [extension for extension, media in _BY_EXTENSION.items() if kind in media.split("/")]
    return ", ".join(f".{extension}" for extension in found[:3])
