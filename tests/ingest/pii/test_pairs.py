"""Values of secrets' names in text: where a bare one ends, and what of long text is looked at."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.pii.names import NameRules
from logops_fast.ingest.pii.pairs import Pairs
from logops_fast.ingest.pii.triggers import endings_of
from tests.ingest.pii.support import cut
from tests.support.tables import each_of

MASKER = Masker()
FILL = st.integers(0, 9000).map(lambda size: "x " * size)


def pairs(*fields: str) -> Pairs:
    rules = NameRules(fields)
    endings = endings_of(rules)
    assert endings is not None
    return Pairs(rules, endings)


@each_of(
    ("text", "masked"),
    [
        (b'"m":"the \'password\'=hunter2 x"', b'"m":"the \'password\'=*** x"'),
        (b'"m":"the password\'=hunter2 x"', b'"m":"the password\'=*** x"'),  # its first quote was cut off
        (b'"m":"password::hunter2 x"', b'"m":"password::hunter2 x"'),
        (b'"m":"password := hunter2 x"', b'"m":"password := *** x"'),
    ],
)
def test_the_value_beside_a_name_is_masked(text: bytes, masked: bytes) -> None:
    cuts, fields, secrets = pairs().cuts(text)
    assert cut(text, cuts) == masked
    assert (fields, secrets) == (0, int(text != masked))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=a\\wb c", "password=*** c"),
        ("password=\\wa b", "password=*** b"),
        ("password=a\\nb c", "password=***\\nb c"),
        ("password=a\\", "password=***\\"),
        ("password=a,b", "password=***,b"),
        ("password= ,x", "password= ,x"),
        ("password=", "password="),
        ("password=" * 3000 + "x y", "password=*** y"),
        (("password=" + "x" * 5000 + " ") * 3 + "token=z", "password=*** " * 3 + "token=***"),
    ],
)
def test_a_bare_value_ends_where_text_goes_on(text: str, masked: str) -> None:
    assert MASKER.mask_text(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        # A cookie's value in quotes, as JSON, with a comma; the date of Set-Cookie.
        ('Cookie: a=1; b="Zz9"; c=2', "Cookie: ***"),
        ('Cookie: a=1; b="Zz9" x', "Cookie: *** x"),
        ('Cookie: p={"a":1,"b":[2]}; sid=1', "Cookie: ***"),
        ("Cookie: n=a,b; sid=1", "Cookie: ***"),
        ("cookie: a=1,accept:x", "cookie: ***,accept:x"),
        ("Set-Cookie: a=1; Expires=Wed, 25 Nov 2026 10:00:00 GMT, sid=2; Path=/ x", "Set-Cookie: *** x"),
        ('{"h":"Cookie: a=1; b=","x":"y z","q":"w"}', '{"h":"Cookie: ***","x":"y z","q":"w"}'),
        ("curl -H 'Cookie: a=1; b=2' -H 'X: y'", "curl -H 'Cookie: ***' -H 'X: y'"),
        # AWS Signature Version 4.
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=x/aws4_request, SignedHeaders=host;x-amz-date, Signature=f0 ok",
            "Authorization: AWS4-HMAC-SHA256 *** ok",
        ),
        # As programs print a value with its type.
        ("token=b'Fk3' n=1", "token=*** n=1"),
        ("{'password': u'Fk3', 'n': 1}", "{'password': ***, 'n': 1}"),
        ('Creds { password: Some("Fk3 x"), n: 1 }', "Creds { password: ***, n: 1 }"),
        ("Creds[token=Optional[Fk3], n=1]", "Creds[token=***, n=1]"),
        ("password=Password(value=Fk3) x", "password=*** x"),
        ("password=it's x", "password=***'s x"),
        ("password=b'Fk3'x y", "password=*** y"),
        ("password=Some(Fk3).x y", "password=*** y"),
        ('token: Some(Token("Fk3")) y', "token: *** y"),
        ('cookie: Some("a=Fk3; b=2") y', "cookie: *** y"),
        ("{b'Authorization': b'Token Fk3', b'n': 1}", "{b'Authorization': ***, b'n': 1}"),
        ("no password: getUser(id=5, name=joe) failed", "no password: ***(id=5, name=joe) failed"),
        # Quotes that close a string around the pair.
        ('{"msg":"password=b","x":"y"}', '{"msg":"password=***","x":"y"}'),
        ("('token=b', 'user=joe')", "('token=***', 'user=joe')"),
        ("exec 'password=u' 'user=joe' ok", "exec 'password=***' 'user=joe' ok"),
        ('{"msg":"expected \\"token\\":","user":"joe"}', '{"msg":"expected \\"token\\":","user":"joe"}'),
        ('{"msg":"expected \'token\':","user":"joe"}', '{"msg":"expected \'token\':","user":"joe"}'),
        ('{"msg":"Cookie: a={","user":"joe"}', '{"msg":"Cookie: ***","user":"joe"}'),
        ('{"msg":"got password=[\\"Fk3\\"]","user":"joe"}', '{"msg":"got password=***","user":"joe"}'),
        ('{"msg":"missing token=[","user":"joe"}', '{"msg":"missing token=***","user":"joe"}'),
        ('{"msg":"<password a=\'b\'>","x":"y</password>"}', '{"msg":"<password a=\'b\'>","x":"y</password>"}'),
        ('{"a":"<secret x","m":"count>5</secret> ok"}', '{"a":"<secret x","m":"count>5</secret> ok"}'),
        ('{"a":"password=f(","b":"x)"}', '{"a":"password=***(","b":"x)"}'),
        # Brackets around one value.
        ("map[X-Api-Key:[Fk3] Accept:[*/*]]", "map[X-Api-Key:*** Accept:[*/*]]"),
        ("password:[Fk3 x] y", "password:*** y"),
        ("password:[Fk3]x y", "password:*** y"),
        ("password:[FILTERED] y", "password:[FILTERED] y"),
        ("unexpected token: [main] INFO started", "unexpected token: [main] INFO started"),
        ("Cookie:[a=1; b=2]; Accept:[x]", "Cookie:***; Accept:[x]"),
        ("password: [", "password: ["),
        (
            'http.Header{"X-Api-Key":[]string{"Fk3"}, "Accept":[]string{"x"}}',
            'http.Header{"X-Api-Key":"***", "Accept":[]string{"x"}}',
        ),
        # Names of several words.
        ("Using API key: Fk3 ok", "Using API key: *** ok"),
        ('{"API Key":"Fk3","n":1}', '{"API Key":"***","n":1}'),
        ("Card number: 5019 x", "Card number: *** x"),
        ("Social Security Number: 000-12-3456 x", "Social Security Number: *** x"),
        ("security code: 737", "security code: ***"),
        ("primary key: 55", "primary key: 55"),
        ("failed to read private key: open x", "failed to read private key: open x"),
        ("key: 55", "key: 55"),
        # Arrays in a query.
        ("password[]=Fk3&go=1", "password[]=***&go=1"),
        ("user[password][]=Fk3&go=1", "user[password][]=***&go=1"),
        ("data%5Btoken%5D%5B%5D=Fk3&n=1", "data%5Btoken%5D%5B%5D=***&n=1"),
        # Fields of forms as members.
        ('{"user[password]":"Fk3","token[]": ["Fk4"]}', '{"user[password]":"***","token[]": "***"}'),
        ('{"password ":"Fk3"}', '{"password ":"***"}'),
        # Escapes of the JSON text that the value is in.
        (r'{"m":"Authorization: Digest username=\"u\", response=\"Fk3\""}', '{"m":"Authorization: Digest ***"}'),
        (r'{"m":"Cookie: id=\"A\"; sid=B"}', '{"m":"Cookie: ***"}'),
        (r'{"m":"Cookie: sid\u003dFk3; theme\u003ddark"}', '{"m":"Cookie: ***"}'),
        (
            r'{"m":"Authorization: AWS4-HMAC-SHA256 Credential\u003dx\/y, Signature\u003dFk3"}',
            '{"m":"Authorization: AWS4-HMAC-SHA256 ***"}',
        ),
        (r'{"m":"authorization: Bearer\tFk3abc"}', r'{"m":"authorization: Bearer\t***"}'),
        (r'{"m":"token=Some(\"Fk3\") x"}', '{"m":"token=*** x"}'),
        (r'{"m":"token=u\"Fk3\" x"}', '{"m":"token=*** x"}'),
        (r'{"m":"token=b\u0027Fk3\u0027 x"}', '{"m":"token=*** x"}'),
        (r'{"m":"password=caf\u00e9Fk3 x"}', '{"m":"password=*** x"}'),
        (r'{"m":"password=ab\/Fk3 x"}', '{"m":"password=*** x"}'),
        (r'{"m":"password=\"C:\\","z":"x"}', r'{"m":"password=\"***","z":"x"}'),
        # Strings in brackets, as Python and Ruby print them.
        ("cookies: {'sid': 'Fk3', 'a': 'b'} x", "cookies: *** x"),
        ('secret: ["a", "Fk3"] x', "secret: *** x"),
        (r'{"m":"cookie: [\"a=b\", \"sid=Fk3\"]"}', '{"m":"cookie: ***"}'),
        ('unexpected token: {"a at line 1', 'unexpected token: {"a at line 1'),
        ("unexpected token: {'a': (b] at line 1", "unexpected token: {'a': (b] at line 1"),
        ("set-cookie: a=b, sid=Fk3; path=/", "set-cookie: ***"),
        # What is said of a secret is not one.
        ("error refreshing token: connection refused", "error refreshing token: connection refused"),
        ("authorization: denied for user 5", "authorization: denied for user 5"),
        ("unable to fetch secret: not found", "unable to fetch secret: not found"),
        ("password=not", "password=***"),
        # Elements with attributes, and CDATA.
        ('<a:Password Type="x">Fk3</a:Password><k>1</k>', '<a:Password Type="x">***</a:Password><k>1</k>'),
        ("<apiKey><![CDATA[Fk3<>]]></apiKey> x", "<apiKey><![CDATA[***]]></apiKey> x"),
        ('<password>Fk3</password><user a="b">joe</user>', '<password>***</password><user a="b">joe</user>'),
        ('<x y="z">joe</password>', '<x y="z">joe</password>'),
        ('<password a="b"></password>', '<password a="b"></password>'),
        # What names a key or a kind, and no value.
        (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-x y",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-x y",
        ),
        ("Culture=neutral, PublicKeyToken=30ad4fe6b2a6aeed", "Culture=neutral, PublicKeyToken=30ad4fe6b2a6aeed"),
    ],
)
def test_a_value_is_masked_whole_however_it_is_written(text: str, masked: str) -> None:
    assert MASKER.mask_text(text) == masked
    assert MASKER.mask_text(masked) == masked
    # Beside itself, and after so much that what is near was seen before.
    assert MASKER.mask_text(f"{text} - {text} - {text}") == f"{masked} - {masked} - {masked}"
    filled = "x" * 70 + " "
    assert MASKER.mask_text(filled + text) == filled + masked


FORMS = [
    "password={}", "token: {}", "cookie:{}", "Authorization = {}", "api_key=>{}", "secret='{}", 'token="{}',
    "cookie': '{}",
]  # fmt: skip
# Not a lone `{`: `token: {"` at the end of a string of JSON text takes what follows the string.
VALUES = [
    "abc", "it's", "[a", "[a, b]", "{a", "{a: b}", "(a", "a b", "`a", '"a', "'a", 'a"b', "Bearer x1y2z3", "Basic YTpi",
    "<a>", "<a", "$x", 'Some("a")', "b'a'", 'u"a"', '["a"', '{"a":"b"}', "['a',", "a\nb", "a\tb", "", "é", "[",
    "'", "postgres://u:p@h/x", "4111111111111111", "10.1.2.3", "a@b.com", "-----BEGIN PRIVATE KEY-----\nMIIabc",
]  # fmt: skip
ENDS = ["", " end", '"', "'", "]", "}", ")", ", x=1", "; x", "\n", " failed: 'x'"]


@given(
    st.builds(
        lambda before, form, value, end: before + form.format(value) + end,
        st.sampled_from(["", "login ", 'x="', "err: '", "{", "["]),
        st.sampled_from(FORMS),
        st.sampled_from(VALUES),
        st.sampled_from(ENDS),
    ),
    st.integers(1, 3),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_json_text_within_json_text_stays_json_with_all_its_members(
    text: str, depth: int, separators: tuple[str, str]
) -> None:
    for _ in range(depth):
        text = json.dumps({"m": text, "z": "kept", "n": 1}, ensure_ascii=False, separators=separators)
    masked = MASKER.mask_text(text)
    for _ in range(depth):
        event = json.loads(masked)
        assert (event["z"], event["n"]) == ("kept", 1)
        masked = event["m"]


@given(
    st.lists(
        st.sampled_from(["password=a", '"token": "b"', "<secret>c</secret>", "eyJa.b.c", "d.eyJa.eyJb"]).flatmap(
            lambda one: FILL.map(lambda fill: one + " " + fill)
        ),
        max_size=5,
    )
)
def test_long_text_is_masked_as_each_of_its_parts(parts: list[str]) -> None:
    assert MASKER.mask_text("".join(parts)) == "".join(map(MASKER.mask_text, parts))
