"""Decoding and repair of the XML of feeds and sitemaps."""

import codecs
import html
import re

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, because it starts with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
DECLARATION = re.compile(r"<\?xml\s[^>]{0,200}?\?>", re.IGNORECASE)
ENCODING = re.compile(rb"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([\w.:-]{1,40})[\"']", re.IGNORECASE)
NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
CDATA = re.compile(r"(<!\[CDATA\[.*?(?:\]\]>|\Z))", re.DOTALL)
NAMED_ENTITY = re.compile(r"&(\w{2,32});")
BARE_AMPERSAND = re.compile(r"&(?!(?:[A-Za-z_][\w.-]*|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});)")
PREDEFINED = frozenset({"amp", "lt", "gt", "quot", "apos"})
HEAD_BYTES = 1024  # that may declare the encoding


def decode_xml(content: bytes) -> str:
    """`content` as text: by its byte-order mark, else its declaration, else UTF-8, else Windows-1252."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace").lstrip("\ufeff")
    declared = ENCODING.search(content[:HEAD_BYTES])
    candidates = [declared[1].decode("ascii")] if declared is not None else []
    for encoding in (*candidates, "utf-8", "cp1252"):
        try:
            # A declaration in ASCII cannot be right about UTF-16.
            if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
                continue
            return content.decode(encoding)
        except (LookupError, ValueError, TypeError):  # TypeError: a codec that does not decode text
            continue
    return content.decode("utf-8", "replace")


def repair_xml(text: str) -> str:
    """`text` without what XML does not allow: control characters, HTML entities, bare ampersands, a truncated end."""
    text = NOT_XML.sub("", DECLARATION.sub("", text))
    if not text.rstrip().endswith(">"):
        text = text[: text.rfind(">") + 1]  # a truncated URL would be a different one
    parts = CDATA.split(text)
    parts[::2] = [BARE_AMPERSAND.sub("&amp;", NAMED_ENTITY.sub(_character, part)) for part in parts[::2]]
    return "".join(parts)


def _character(entity: re.Match[str]) -> str:
    """The character of an HTML entity; entities of XML and unknown ones are unchanged."""
    if entity[1] in PREDEFINED:
        return entity[0]
    character = html.unescape(entity[0])
    return entity[0] if character in "<>&\"'" or character.endswith(";") else character
