"""Answers that a server might give, good ones and others, out of a seeded generator; and what each may be read as.

Two families. A framed answer is good HTTP, whatever its body, status and headers are: there the outcome is known
exactly. A broken one has had its bytes mutated, or its framing taken from a grammar of bad habits: there a result, if
the client gives one, must be what some reading of these bytes says.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from attrs import frozen

BOM = b"\xef\xbb\xbf"
NAMES = ["Dr. Inventata", "", "},{", '"', "\\", '\\\\"', "é", "\U0001f600", "[]", "a\nb", "\u2028", "Dr. X" * 40]  # fmt: skip
BYTES = [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b" ", b"\n", b"\r\n", b"\0", b"\xff", b"0", b"\xef\xbb\xbf"]
TOKEN_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"


@frozen
class Case:
    """One answer: its bytes, in the pieces in which they are sent.

    `body` is what HTTP says was sent, undone of its coding; None for a broken answer.
    """

    pieces: list[bytes]
    closes: bool
    status: int = 200
    body: bytes | None = None

    @property
    def raw(self) -> bytes:
        return b"".join(self.pieces)


# Bodies


def doctor(rng: random.Random) -> dict[str, Any]:
    record: dict[str, Any] = {"name": rng.choice(NAMES), "profileImage": rng.choice([None, "https://img.invented/1"])}
    if rng.random() < 0.2:
        record["more"] = rng.choice([1, None, [1, {"a": []}], {"name": 2}, "x", 1.5, True])
    return record


def good_list(rng: random.Random) -> bytes:
    records = [doctor(rng) for _ in range(rng.choice([0, 1, 2, 3, 5, 9]))]
    if rng.random() < 0.02:
        records *= rng.randint(10, 400)
    return dumped(rng, records)


def dumped(rng: random.Random, value: Any) -> bytes:
    text = json.dumps(
        value,
        ensure_ascii=rng.random() < 0.5,
        indent=rng.choice([None, None, None, 1]),
        separators=rng.choice([None, (",", ":"), (" , ", " : ")]),
    )
    return text.encode()


def good_token(rng: random.Random) -> bytes:
    answer: dict[str, Any] = {
        "access_token": rng.choice(["invented.jwt", "x" * 900, "a~b+c/="]),
        "token_type": "Bearer",
    }
    if rng.random() < 0.8:
        answer["expires_in"] = rng.choice([3600, "3600", 1.5, 86_400, 10**9, "0009", 300])
    if rng.random() < 0.3:
        answer["token_type"] = rng.choice(["bearer", "BEARER", " bearer", "", "mac", None, 7])
    if rng.random() < 0.2:
        answer["expires_in"] = rng.choice(
            [
                0,
                -1,
                True,
                None,
                "",
                " ",
                "1e3",
                "3600.0",
                " 60\n",
                "nan",
                "-5",
                [],
                1e308,
                "9" * 30,
                "1e999",
                "٣",
                "1_0",
            ]
        )
    if rng.random() < 0.15:
        answer["access_token"] = rng.choice(["", None, 5, "a b", "a\nb", "é", [], "\x7f"])
    if rng.random() < 0.1:
        answer.pop(rng.choice(sorted(answer)))
    if rng.random() < 0.2:
        answer["error"] = rng.choice(["invalid_client", "invalid_scope", "x" * 300, 5])
    return dumped(rng, answer)


ODD_VALUES = [
    "NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "-", "1e999", "1e", "'a'", "True", "None", "nul", "undefined",
    '"\\x"', '"\\ud800"', '"\\u12"', '"a\tb"', "/*c*/1", "0x10", "", '"', "[", "}", "1 2", '"a" "b"', "99999999999999999999999",
]  # fmt: skip


def json_text(rng: random.Random, depth: int = 0) -> str:
    """Return JSON out of a grammar, with a slip now and then."""
    space = rng.choice(["", "", "", " ", "\n", "\r\n\t"])
    kind = rng.random()
    if kind < 0.02:
        return rng.choice(ODD_VALUES)
    if depth > 4 or kind < 0.3:
        return rng.choice(["1", "-0.5e3", "true", "false", "null", '"a"', '"\\u00e9\\n"', '""', '"},{"'])
    inner = [json_text(rng, depth + 1) for _ in range(rng.choice([0, 1, 2, 3]))]
    comma = "," + space if rng.random() < 0.98 else rng.choice(["", ",,", ";", " "])
    if kind < 0.6:
        return "[" + space + comma.join(inner) + space + ("]" if rng.random() < 0.99 else "")
    keys = [rng.choice(['"name"', '"profileImage"', '"a"', '""']) for _ in inner]
    colon = ":" if rng.random() < 0.98 else "="
    return "{" + comma.join(key + space + colon + each for key, each in zip(keys, inner, strict=True)) + "}"


def grown(rng: random.Random) -> bytes:
    """Return a body out of the grammar: mostly lists, of records and of other things."""
    kind = rng.random()
    if kind < 0.2:
        return json_text(rng).encode()
    if kind < 0.25:
        deep = rng.choice([10, 900, 1022, 1023, 1024, 1100, 3000])
        return b'[{"name":"a","profileImage":null,"more":' + b"[" * deep + b"]" * deep + b"}]"
    records = [json.dumps(doctor(rng)) for _ in range(rng.randint(0, 4))]
    for _ in range(rng.randint(0, 2)):
        records.insert(rng.randint(0, len(records)), json_text(rng, 1))
    comma = rng.choice([","] * 15 + ["", ",,", ";"])
    return ("[" + comma.join(records) + rng.choice(["]"] * 9 + ["", ",]", "]]", "] x", "]\n"])).encode()


def mutated(rng: random.Random, data: bytes, most: int = 3) -> bytes:
    """Flip, cut, drop, double, insert and move bytes."""
    for _ in range(rng.randint(1, most)):
        size = len(data)
        at = rng.randint(0, size)
        end = min(size, at + rng.choice([1, 1, 2, 5, 40]))
        kind = rng.randrange(8)
        if kind == 0 and at < size:
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif kind == 1 and at < size:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + data[end:]
        elif kind == 4:
            data = data[:end] + data[at:end] * rng.randint(1, 3) + data[end:]
        elif kind == 5:
            data = data[:at] + rng.choice(BYTES) + data[at:]
        elif kind == 6:
            data = data[:at] + rng.randbytes(rng.randint(1, 4)) + data[at:]
        else:
            other = rng.randint(0, size)
            low, high = sorted((at, other))
            data = data[:low] + data[high : high + 3] + data[low:high] + data[high + 3 :]
    return data


def body_for(kind: str, rng: random.Random) -> bytes:
    choice = rng.random()
    good = good_token if kind == "token" else good_list
    if choice < 0.3:
        body = good(rng)
    elif choice < 0.75:
        body = mutated(rng, good(rng))
    else:
        body = grown(rng)
    if rng.random() < 0.05:
        body = BOM + body
    return body + rng.choice([b""] * 9 + [b"\n"])


# Heads


def header_name(rng: random.Random) -> str:
    return "X-" + "".join(rng.choices(TOKEN_CHARACTERS, k=rng.choice([1, 3, 12, 60])))


def header_value(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.6:
        return b"invented"
    if kind < 0.8:
        return bytes(rng.choices(range(0x21, 0x7F), k=rng.choice([0, 1, 50, 2000])))
    return rng.choice(
        [b"\xe9t\xe9", "ü€".encode(), b"a\tb", b" spaced ", b"", b"=?utf-8?q?x?=", b"\xff\xfe", b'"a, b"']
    )


#: Headers that a server may well send, in forms that a client may stumble over.
STRANGE = [
    b"Content-Type: application/json; charset=utf-16", b"Content-Type: text/html; charset=nonsense", b"Content-Type:",
    b"Content-Type: application/json\r\nContent-Type: text/plain", b"Content-Type: ;;;===", b'content-type: x/y; charset="',
    b"Set-Cookie: a=b; Path=/; Expires=never", b'Set-Cookie: =;=;"', b"Set-Cookie: " + b"c" * 3000, b"Date: yesterday",
    b"Content-Disposition: attachment; filename*=utf-8''%ff%zz", b"Link: <<>>; rel", b"Location: http://[::bad", b'ETag: "',
    b"Retry-After: soon", b"Retry-After: -1", b"Retry-After: 99999999999", b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
    b"Retry-After: Mon, 99 Foo 0000 99:99:99 +9999", b"Retry-After: 0, 5", b"X-Request-Id: " + b"r" * 300, b"X-Request-Id: \xff",
    b"Content-Range: bytes 0-1/2", b"Content-Language: \x80", b"Trailer: Expires", b"Vary: *, *", b"Server: (((",
    b"Strict-Transport-Security: max-age=\xc2\xb2", b"Keep-Alive: timeout=0, max=0", b'Alt-Svc: h3=":443"', b"Via: 1.0 x",
]  # fmt: skip


def header_set(rng: random.Random) -> list[bytes]:
    headers = [b"%b: %b" % (header_name(rng).encode(), header_value(rng)) for _ in range(rng.choice([0, 0, 1, 2, 10]))]
    headers += rng.sample(STRANGE, rng.choice([0, 0, 1, 2, 4]))
    if rng.random() < 0.3:
        headers += [b"X-Again: %d" % number for number in range(rng.choice([2, 5, 40]))]
    rng.shuffle(headers)
    return headers


def coded(rng: random.Random, body: bytes) -> tuple[bytes, bytes | None]:
    kind = rng.random()
    if kind < 0.7:
        return body, rng.choice([None, None, None, b"identity"])
    bits, name = rng.choice([(31, b"gzip"), (31, b"x-GZIP"), (15, b"deflate"), (-15, b"deflate")])
    compressor = zlib.compressobj(rng.choice([1, 6, 0]), zlib.DEFLATED, bits)
    return compressor.compress(body) + compressor.flush(), name


def chunked(rng: random.Random, data: bytes) -> bytes:
    parts = []
    while data:
        size = rng.choice([1, 3, 16, 100, 5000])
        chunk, data = data[:size], data[size:]
        digits = (b"%x" if rng.random() < 0.8 else b"%04X") % len(chunk)
        parts.append(digits + (b";ext=1" if rng.random() < 0.05 else b"") + b"\r\n" + chunk + b"\r\n")
    trailer = b"X-Trailer: 1\r\n" if rng.random() < 0.05 else b""
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def cut_up(rng: random.Random, raw: bytes) -> list[bytes]:
    """Return the bytes in the pieces in which they are sent: most come at once."""
    if rng.random() < 0.85 or len(raw) < 2:
        return [raw]
    cuts = sorted(rng.sample(range(1, len(raw)), min(len(raw) - 1, rng.choice([1, 2, 4]))))
    return [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


GOOD_STATUSES = [200] * 16 + [201, 203]
BAD_STATUSES = [300, 302, 400, 403, 404, 418, 429, 500, 502, 503, 599]


def framed(kind: str, rng: random.Random) -> Case:
    """Return good HTTP, whatever it says."""
    body = body_for(kind, rng)
    status = rng.choice(GOOD_STATUSES if rng.random() < 0.9 else BAD_STATUSES)
    data, coding = coded(rng, body)
    headers = header_set(rng)
    if coding:
        headers.append(b"Content-Encoding: " + coding)
    framing = rng.random()
    closes = False
    if framing < 0.5:
        headers.append(rng.choice([b"Content-Length: %d", b"content-length:%d", b"CONTENT-LENGTH:  %d "]) % len(data))
    elif framing < 0.9:
        headers.append(rng.choice([b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked"]))
        data = chunked(rng, data)
    else:
        closes = True
        headers.append(b"Connection: close")
    if rng.random() < 0.5:
        rng.shuffle(headers)
    reason = rng.choice([b"OK", b"", b"Invented reason", b"\xe9"])
    head = b"HTTP/1.1 %d %b\r\n" % (status, reason) + b"".join(line + b"\r\n" for line in headers) + b"\r\n"
    return Case(cut_up(rng, head + data), closes, status, body)


#: What bad servers, proxies and attackers put into a head.
BAD_LINES = [
    b"Content-Length: 5", b"Content-Length: -5", b"Content-Length: +5", b"Content-Length: 5_0", b"Content-Length: 0x10", b"Content-Length: 1e2",
    b"Content-Length: 99999999999999999999", b"Content-Length: 5, 5", b"Content-Length: 5, 6", b"Content-Length:", b"Content-Length: \xb2",
    b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: identity", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked\r\n , gzip",
    b"Content-Encoding: br", b"Content-Encoding: gzip, gzip", b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"Content-Encoding: \xff",
    b"Content-Encoding: identity\r\nContent-Encoding: gzip", b"Folded: a\r\n b\r\n\tc", b" Starts-Folded: a", b"No-Colon", b": no name", b"Sp ace: x",
    b"Space-Before : x", b"Nul: a\0b", b"Bare: a\rb", b"Bell: a\x07b", b"Long: " + b"l" * 9000, b"L" * 9000 + b": x", b"(bad): x", b"\xff: x",
    b"Connection: upgrade\r\nUpgrade: websocket", b"Connection: keep-alive", b"Connection: close, keep-alive", b"Upgrade: h2c", b"\x00", b"\x16\x03\x01",
]  # fmt: skip
START_LINES = [
    b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1  200 OK", b"HTTP/0.9 200 OK", b"HTTP/2.0 200 OK", b"HTTP/1.10 200 OK", b"http/1.1 200 OK", b"ICY 200 OK",
    b"HTTP/1.1 204 No", b"HTTP/1.1 205 No", b"HTTP/1.1 304 No", b"HTTP/1.1 101 Switch", b"HTTP/1.1 100 Go", b"HTTP/1.1 103 Early", b"HTTP/1.1 401 No",
    b"HTTP/1.1 99 Low", b"HTTP/1.1 000 Zero", b"HTTP/1.1 999 High", b"HTTP/1.1 1000 Higher", b"HTTP/1.1 -200 OK", b"HTTP/1.1 2OO OK", b"HTTP/1.1 200 O\0K",
    b"HTTP/1.1 200 " + b"r" * 9000, b"", b"GET / HTTP/1.1", b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK", b"HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK",
    b"HTTP/1.1 206 Part", b"SSH-2.0-invented", b"PRI * HTTP/2.0", b"\xff\xfe\x00", b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK",
]  # fmt: skip


def broken(kind: str, rng: random.Random) -> Case:
    """Return an answer that was good before somebody laid hands on it. The connection is closed behind it."""
    case = framed(kind, rng)
    head, _, rest = case.raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    choice, most = rng.random(), rng.choice([1, 1, 1, 2, 4])
    if choice < 0.2:
        raw = mutated(rng, case.raw, most)
    elif choice < 0.5:
        raw = mutated(rng, head + b"\r\n\r\n", most) + rest
    elif choice < 0.65:
        raw = head + b"\r\n\r\n" + mutated(rng, rest, most)
    else:
        for _ in range(rng.randint(0, 2)):
            lines.insert(rng.randint(1, len(lines)), rng.choice(BAD_LINES))
        if rng.random() < 0.3:
            lines[0] = rng.choice(START_LINES)
        if rng.random() < 0.05:
            lines += [b"Many-%d: x" % number for number in range(rng.choice([100, 200, 1000]))]
        ends = rng.choice([b"\r\n"] * 8 + [b"\n", b"\r"])
        raw = ends.join(lines) + ends + ends + rest + rng.choice([b""] * 4 + [b"\r\n", b"extra", case.raw[:300]])
    return Case(cut_up(rng, raw), True)


def case_of(kind: str, rng: random.Random, *, good_http: bool) -> Case:
    return framed(kind, rng) if good_http else broken(kind, rng)


# What a body says, told by a reader of the whole.


def strict(body: bytes) -> Any:
    """Return the JSON value, a byte order mark passed over and whole numbers exact; ... where the body is none."""
    text = body.removeprefix(BOM)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ...
    if re.search(rb"[0-9]{16}", text):  # orjson makes floats of the longest
        with contextlib.suppress(RecursionError):
            value = json.loads(text)
    return value


def plain_doctor(value: Any) -> tuple[str, str | None] | None:
    """Return name and image of a record, None if it is not what the API promises."""
    if type(value) is not dict or type(value.get("name")) is not str or "profileImage" not in value:
        return None
    image = value["profileImage"]
    return (value["name"], image) if image is None or type(image) is str else None


def list_in(body: bytes) -> list[tuple[str, str | None]] | None:
    """Return the records of a whole list, None if it is no such list."""
    value = strict(body)
    if type(value) is not list:
        return None
    records = [plain_doctor(each) for each in value]
    return None if None in records else [each for each in records if each is not None]


def first_in(body: bytes) -> list[tuple[str, str | None]]:
    """Return the records at the beginning of what may be no list: as far as another parser gets, one by one."""
    text = body.removeprefix(BOM).decode("utf-8", "surrogateescape")
    blank = re.compile(r"[ \t\n\r]*")
    reader = json.JSONDecoder()
    at = blank.match(text, 0).end()  # type: ignore[union-attr]
    found: list[tuple[str, str | None]] = []
    if text[at : at + 1] != "[":
        return found
    try:
        while True:
            value, at = reader.raw_decode(text, blank.match(text, at + 1).end())  # type: ignore[union-attr]
            record = plain_doctor(value)
            if record is None:
                return found
            found.append(record)
            at = blank.match(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] != ",":
                return found
    except (ValueError, RecursionError):
        return found


def token_in(body: bytes) -> tuple[str, float] | None:
    """Return the token and its life in seconds; None where the answer grants none."""
    answer = strict(body)
    if type(answer) is not dict:
        return None
    token, kind, life = answer.get("access_token"), answer.get("token_type"), answer.get("expires_in")
    if type(token) is not str or not re.fullmatch(r"[\x21-\x7e]+", token):
        return None
    if kind is not None and (type(kind) is not str or kind.strip().lower() not in ("", "bearer")):
        return None
    if life is None or (type(life) is str and not life.strip()):
        life = 300
    if type(life) is str and set(life.strip()) <= set("0123456789.eE+-"):  # no "inf", "nan", "1_0", no other digits
        try:
            life = float(life)
        except ValueError:
            return None
    if type(life) not in (int, float) or not life > 0:
        return None
    return token, min(float(life), 86_400.0)


# What a broken answer may be read as.


def unchunked(data: bytes) -> tuple[bytes, bool]:
    """Undo chunks as far as they go; tell whether they come to their end."""
    body, at = b"", 0
    while match := re.compile(rb"[ \t]*([0-9a-fA-F]{1,400})[^\n]*\n").match(data, at):
        size, start = int(match[1], 16), match.end()
        body += data[start : start + size]
        if size == 0:
            return body, True
        end = re.compile(rb"\r?\n?").match(data, start + size)
        if end is None:
            break
        at = end.end()
    return body, False


def inflated(data: bytes, *, whole: bool) -> Iterator[bytes]:
    """Undo each coding there is; those that do not come to their end only as far as they go, and if not `whole`."""
    for bits in (47, -15):
        body, rest = b"", data
        reader = zlib.decompressobj(bits)
        try:
            while rest:  # byte by byte, so that what stands before a fault is there
                body += reader.decompress(rest[:1])
                rest = rest[1:]
                if reader.eof and (rest := rest.lstrip(b"\0")):
                    reader = zlib.decompressobj(bits)
        except zlib.error:
            if whole:
                continue
        if reader.eof or not (whole and data):
            yield body


HEADER = re.compile(rb"([!#-'*+\-.0-9A-Z^_`a-z|~]+):[ \t]*([\t -~\x80-\xff]*)")


def orderly(raw: bytes) -> Iterator[bytes] | None:
    """Return what there is to read if the head leaves no doubt, None if it does."""
    head, end, rest = raw.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    fields = [HEADER.fullmatch(line) for line in lines]
    if not end or None in fields or not re.fullmatch(rb"HTTP/1\.1 [2-5]\d\d( [\t -~\x80-\xff]*)?", start):
        return None
    said: dict[bytes, list[bytes]] = {}
    for each in fields:
        assert each is not None
        said.setdefault(each[1].lower(), []).append(each[2].strip(b" \t").lower())
    lengths, codings = said.get(b"content-length", []), said.get(b"content-encoding", [b""])
    transfer = said.get(b"transfer-encoding", [])
    if len(lengths) + len(transfer) > 1 or len(codings) > 1 or b"upgrade" in said or b"connection" in said:
        return None
    if lengths:
        if not lengths[0].isdigit():
            return None
        rest, whole = rest[: int(lengths[0])], int(lengths[0]) <= len(rest)
    elif transfer:
        rest, whole = unchunked(rest) if transfer == [b"chunked"] else (b"", False)
    else:
        whole = True
    if not whole:
        return iter(())
    return iter([rest]) if codings[0] in (b"", b"identity") else inflated(rest, whole=True)


def readings(raw: bytes, *, whole: bool) -> Iterator[bytes]:
    """Return every body that these bytes can be said to hold: each end of a head, each length named, each coding.

    With `whole` only those that come to their end; and if the head leaves no doubt, what it says and nothing else.
    """
    if whole and (sure := orderly(raw)) is not None:
        yield from sure
        return
    lengths: set[int] = set()
    before = 0
    for number, end in enumerate(re.finditer(rb"\n[ \t]*\r?\n|\r\r|\n\r", raw)):
        if number > 12:
            return
        lengths |= {int(digits) for digits in re.findall(rb"\d{1,7}", raw[before : end.start()][:20_000])}
        before = end.end()
        rest = raw[before:]
        chunks, ended = unchunked(rest)
        for data in {
            rest,
            chunks if ended or not whole else rest,
            *(rest[:each] for each in lengths if each < len(rest)),
        }:
            yield data
            yield from inflated(data, whole=whole)


def may_be(raw: bytes, result: Any, read: Callable[[bytes], Any], *, whole: bool = True) -> bool:
    """Whether some reading of these bytes says what the client says."""
    return any(read(body) == result for body in readings(raw, whole=whole))
