"""Units of text that cost the masks most when they are repeated: how a kind begins, what nearly is one, what is one."""

from __future__ import annotations

from typing import Final

UNITS: Final = (
    "a", "@", ".", "1", ":", "a@", "a@b.", "a@b.co", "=@b.co", "1.", "1.1.1.1 ", "1.1.1.1", "1.1.1.1.1 ", "a.b.c.d",
    "::", "a::", "1:: ", "::1 ", "1:2:3:4:5:6:7:8 ", "2001:db8::1 ", "50:06:01:60:3b:20:1f:2e:", "4", "4444-",
    "4444 4444 ", "4111111111111111 ", "4111 1111 1111 1111 ", "4111\xa0", "4a", "eyJ", "eyJ.", "eyJa.b.c ",
    "Bearer ", "bearer a9 ", "Basic ", "Basic QTpi ", "Digest username=a ", "password=", "password=x ",
    "password: ", 'password:"', '"password":', '{"password":[', '"nick":{', "[", "authorization: ", "cookie: a=b; ",
    "<password>", "://", "://a:b@c ", "a:b@", "-----BEGIN PRIVATE KEY-----", "AKIA", "AKIAEXAMPLEEXAMPLE12 ",
    "ghp_", "_aaaaaaaaaaaaaaaa", "%", "%41", "%25", "%2541", "a%40b.co ", "&lt;", "&#64;", "\\", "\\n", "\\u0041",
    '\\"', '"', "é@", "***", "***@b.co ", ".x.x", "10.1.x.x ", "\n", "=",
    # Percent-encoding and character references, once and again.
    "%40", "a%40b.co", "%3A", "%2F%2F", "%252540 ", "%C3%A9", "%E2%80%93", "%20a", "x%3Dy%26", "&amp;", "&quot;a",
    "&#x40;", "\x1b[0m", "\x1b[31mb",
    # Addresses of every kind, and what nearly is one.
    "fe80::1 ", "::ffff:10.1.2.3 ", "a:b:c:d:", "[::1]:80 ", "12:34:56 ", "10.1.2.3:80 ", "v1.2.3.4 ", "a@1.2.3.4 ",
    '"a b"@c.de ', "é@b.co ", "a/b=c@d.ef ",
    # Names with secrets, in each spelling.
    "?token=x&", "&sig=a", "api_key=a;", "pwd:x ", "'secret':'y' ", "{\"token\":1}", "cvv=1,", "Cookie: s=1\n",
    "Authorization: Basic QTpi ", "authorization=x ", "<token>x</token>", "token=[x] ", "set password = y ",
    "key=a ", "token ", "access_key_id=A ", "token=a(", "token=a[b", "token:[a", "Cookie: a={", "Cookie: a=1,b",
    "API key: x ", "password[]=x&", "</a:password>", "<password a>b</password>", "<token><![CDATA[x]]></token>",
    "token_type=bearer a=b ", 'token: ["a', 'token=["x" [', "token=[{", "token: ['a',", 'token=\\"',
    "token='\\\\", "set-cookie: a=b, c",
    # Tokens, keys and credentials.
    "Bearer x9y8z7w6v5u4t3s2 ", "Bearer%20zz9 ", "BeArEr q7 ", "eyJhbGciOiJub25lIn0.e30. ", "e30.e30.", ".eyJ",
    "sk-aaaaaaaaaaaaaaaaaaaaA ", "ghp_aaaaaaaaaaaaaaaaaaaaaaaa ", "AIza", "1//0", "hooks/", "user:pass@",
    "glpat-", "glpat-a_b",
    "https://user:pass@host/ ", "PRIVATE KEY", "Digest realm=a, ",
    # JSON in strings, and escapes.
    '{"a":"b"},', '\\"password\\":\\"x\\",', "\\\\", "\\u0040", "\t", "\x01", "\\x40", "[1,4111111111111111,",
    # Cards.
    "4111-1111-1111-1111 ", "3782 822463 10005 ", "4111.1111.", "6011111111111117,", "%B4111111111111111^",
)  # fmt: skip
