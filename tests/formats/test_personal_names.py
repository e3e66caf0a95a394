from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.batch import BATCH_ID, BatchHead, BatchHeaderError
from logops_fast.formats.personal_names import personal_data_in_name
from tests.support.tables import each_of


@each_of(
    "name",
    [
        "10.1.2.3", "203.0.113.77", "host-203.0.113.77", "ip_10.1.2.3", "client10.1.2.3-7", "4111111111111111",
        "378282246310005", "order-4111111111111111", "4111-1111-1111-1111", "3782.822463.10005", "5105105105105100",
        "2223003122003222", "6011111111111117", "30569309025904", "3530111333300000", "6200000000000005",
        "run-203.0.113.77", "nightly.198.51.100.7_b", "job-192.168.1.4", "x-172.20.0.3", "e2e-run-127.0.0.1",
    ],
)  # fmt: skip
def test_an_address_or_a_card_number_is_personal_data(name: str) -> None:
    assert personal_data_in_name(name)


@each_of(
    "name",
    [
        "na", "load-test", "v1.2.3.4", "release-1.2.3.4", "app-1.2.3.4", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.456",
        "4111111111111112", "1748503543012", "1732480000123456789", "639166104605084040", "4111111111111111a",
        "a4111111111111111", "550e8400-e29b-41d4-a716-446655440000", "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "20260823000001", "00000000000000000000000000000001", "web-1.prod.eu", "1.0.0.0-beta", "x" * 64,
        "run-10.1.2.3", "chrome-120.0.0.0", "build-203.0.113.77.5", "run-172.40.0.3", "run-203.0.13.7",
    ],
)  # fmt: skip
def test_versions_identifiers_and_words_are_names(name: str) -> None:
    assert not personal_data_in_name(name)


@given(st.uuids())
def test_no_uuid_is_refused(value: uuid.UUID) -> None:
    assert not personal_data_in_name(str(value))
    assert not personal_data_in_name(value.hex) or value.hex.isdecimal()


@given(st.from_regex(BATCH_ID.pattern.decode(), fullmatch=True))
def test_any_name_is_judged(name: str) -> None:
    assert personal_data_in_name(name) in (True, False)


@pytest.mark.parametrize("header", ["x-scenario-id", "x-scenario", "x-batch-id"])
def test_a_request_with_such_a_name_is_refused(header: str) -> None:
    with pytest.raises(BatchHeaderError) as caught:
        BatchHead.of({b"content-type": b"application/json", header.encode(): b"203.0.113.77"})
    assert (caught.value.refusal.status, caught.value.refusal.reason) == (400, "personal_data_in_name")
    BatchHead.of({b"content-type": b"application/json", header.encode(): b"release-1.2.3"})
