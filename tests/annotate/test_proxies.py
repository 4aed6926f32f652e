"""Forwarded headers count from trusted proxies only, and change nothing from anybody else."""

import httpx
import pytest
from factories import PASSWORD
from serving import listening

from annotate.config import AnnotateConfig
from annotate.proxies import caller, counted_as, is_https
from storage.config import section
from storage.errors import ConfigurationError

TRUSTED = ("127.0.0.1", "10.0.0.0/24", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("9.9.9.9", [], "9.9.9.9"),
        ("9.9.9.9", ["1.2.3.4"], "9.9.9.9"),  # nobody we trust says so
        ("9.9.9.9", ["127.0.0.1"], "9.9.9.9"),
        ("10.0.0.7", [], "10.0.0.7"),
        ("10.0.0.7", [""], "10.0.0.7"),
        ("10.0.0.7", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.7", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # the first one was made up
        ("10.0.0.7", ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),  # in a header line of its own
        ("10.0.0.7", ["127.0.0.1, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.7", ["1.2.3.4, 10.0.0.8"], "1.2.3.4"),  # two proxies
        ("10.0.0.7", ["10.0.0.9"], "10.0.0.9"),  # somebody beside the proxy
        ("10.0.0.7", ["1.2.3.4, unknown"], "10.0.0.7"),
        ("10.0.0.7", ["1.2.3.4, <script>, 10.0.0.8"], "10.0.0.8"),
        ("10.0.0.7", ["1.2.3.4:51234"], "1.2.3.4"),
        ("10.0.0.7", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.7", ["1.2.3.4"], "1.2.3.4"),  # as a socket for both kinds says it
        ("10.0.1.7", ["1.2.3.4"], "10.0.1.7"),
        ("testclient", ["1.2.3.4"], "testclient"),
        ("", ["1.2.3.4"], ""),
    ],
)
def test_the_caller_is_the_last_address_that_no_trusted_proxy_has(peer, headers, address):
    assert caller(peer, headers, TRUSTED) == address
    assert caller(peer, headers, ()) == peer


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:9.9.9.9", "::ffff:9.9.9.9"),
        ("9.9.9.9", "9.9.9.9"),
        ("testclient", "testclient"),
    ],
)
def test_a_caller_with_many_ipv6_addresses_is_counted_once(address, counted):
    assert counted_as(address) == counted


@pytest.mark.parametrize(
    ("peer", "scheme", "headers", "https"),
    [
        ("9.9.9.9", "http", ["https"], False),
        ("9.9.9.9", "https", ["http"], True),
        ("10.0.0.7", "http", ["https"], True),
        ("10.0.0.7", "http", ["HTTPS"], True),
        ("10.0.0.7", "http", ["https, http"], False),  # the proxy beside us says http
        ("10.0.0.7", "http", ["http", "https"], True),
        ("10.0.0.7", "http", [], False),
        ("10.0.0.7", "https", [], True),
    ],
)
def test_whether_it_is_https(peer, scheme, headers, https):
    assert is_https(peer, scheme, headers, TRUSTED) is https
    assert is_https(peer, scheme, headers, ()) is (scheme == "https")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("*", "no address and no network"),
        ("proxy.example", "no address and no network"),
        ("10.0.0.7/24", "no address and no network"),
        ("0.0.0.0/0", "trusts everybody"),
        ("::/0", "trusts everybody"),
    ],
)
def test_a_proxy_is_named_by_its_address(tmp_path, written, why):
    file = tmp_path / "pairloop.toml"
    file.write_text(f'[annotate]\ntrusted_proxies = ["{written}"]\n')
    values = {"annotate": {"trusted_proxies": [written]}}
    with pytest.raises(ConfigurationError, match=f"line 2: annotate.trusted_proxies.0: .*{why}"):
        section(file, values, "annotate", AnnotateConfig)


def guess(address, number, **headers):
    """A try that is counted, and takes no hashing."""
    form = {"password": PASSWORD, "again": PASSWORD}
    answer = httpx.post(f"{address}/invite/guess{number}", data=form, headers=headers, timeout=30)
    return answer.status_code


def sign_in(address, **headers):
    form = {"name": "ann", "password": PASSWORD}
    return httpx.post(f"{address}/login", data=form, headers=headers, timeout=30)


@pytest.mark.parametrize("own", [{}, {"trusted_proxies": ["10.0.0.7"]}], indirect=True)
def test_made_up_headers_neither_free_nor_lock_out_anybody(own):
    """Whoever is not the proxy, here 127.0.0.1, is counted by their own address."""
    with listening(own.app) as address:
        secure = sign_in(address, **{"X-Forwarded-Proto": "https"})
        assert secure.status_code == 303
        assert "Secure" not in secure.headers["set-cookie"]
        forged = [{"X-Forwarded-For": f"9.9.9.{n}"} for n in range(31)]
        codes = [guess(address, n, **headers) for n, headers in enumerate(forged)]
        assert codes == [404] * 30 + [429]
        also = {"X-Forwarded-For": "10.0.0.7, 8.8.8.8", "Forwarded": "for=8.8.8.8"}
        assert sign_in(address, **also).status_code == 429


@pytest.mark.parametrize("own", [{"trusted_proxies": ["127.0.0.1"]}], indirect=True)
def test_behind_a_trusted_proxy_each_address_is_counted_by_itself(own):
    with listening(own.app) as address:
        made_up = [{"X-Forwarded-For": f"6.6.6.{n}, 9.9.9.9"} for n in range(31)]
        codes = [guess(address, n, **headers) for n, headers in enumerate(made_up)]
        assert codes == [404] * 30 + [429]
        assert sign_in(address, **{"X-Forwarded-For": "9.9.9.9"}).status_code == 429
        plain = sign_in(address, **{"X-Forwarded-For": "9.9.9.8"})
        assert plain.status_code == 303
        assert "Secure" not in plain.headers["set-cookie"]
        https = {"X-Forwarded-For": "9.9.9.8", "X-Forwarded-Proto": "https"}
        assert "Secure" in sign_in(address, **https).headers["set-cookie"]
