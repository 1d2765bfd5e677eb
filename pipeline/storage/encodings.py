"""The encoding of text files that people, spreadsheets and other programs write."""

import codecs
import io
import re
from typing import BinaryIO

UTF8, WINDOWS_1252 = "utf-8", "cp1252"
HEAD_BYTES = 4096
LINE_BYTES = 1 << 20  # of a line looked at in one piece
BYTE_ORDER_MARKS = {  # UTF-32's begins like UTF-16's
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
LETTERS = re.compile(r"[^\W\d_]+")
MAX_ACCENTED = 2  # letters beyond ASCII in a row, as in "Größe"; more of them are a text in another script


def encoding_of(file: BinaryIO) -> str:
    """The encoding of the text in `file`, which is read to its end if need be and rewound.

    A byte-order mark decides. Without one, text in which every second byte is zero is UTF-16. Text is Windows-1252 when all
    its lines beyond ASCII look like words in it and none is UTF-8; otherwise it is UTF-8, perhaps with broken lines.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None) or _utf16_without_mark(
        head
    )
    if encoding is None:
        encoding = WINDOWS_1252 if _is_windows_1252(file) else UTF8
        file.seek(0)
    return encoding


def decoded_text(content: bytes) -> str:
    """`content` as text, without a byte-order mark. Raises UnicodeDecodeError when it is in no encoding known here."""
    return content.decode(encoding_of(io.BytesIO(content)))


def _utf16_without_mark(head: bytes) -> str | None:
    for encoding, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if len(zeros) > 4 and zeros.count(0) > 0.8 * len(zeros) and letters.count(0) < 0.2 * len(letters):
            return encoding
    return None


def _is_windows_1252(file: BinaryIO) -> bool:
    found = False
    while line := file.readline(LINE_BYTES):
        if not line.isascii():
            if _is_utf8(line) or not _is_western_text(line):
                return False
            found = True
    return found


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode(UTF8)
    except UnicodeDecodeError:
        return False
    return True


def _is_western_text(line: bytes) -> bool:
    """Whether `line` in Windows-1252 consists of words of ASCII letters with some accented ones among them."""
    try:
        text = line.decode(WINDOWS_1252)
    except UnicodeDecodeError:
        return False
    return all(_is_western_word(word) for word in LETTERS.findall(text))


def _is_western_word(word: str) -> bool:
    if word.isascii():
        return True
    accented = re.findall(r"[^\x00-\x7f]+", word)
    if max(map(len, accented)) > MAX_ACCENTED:
        return False
    return len(word) == 1 or any(map(str.isascii, word))  # "à" is a word, too


def is_text(argument: str) -> bool:
    """Whether the bytes of a command-line argument were UTF-8; Python keeps those that were not as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)
