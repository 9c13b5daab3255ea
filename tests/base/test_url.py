"""URL and URLSearchParams, beyond what the Web Platform Tests ask for."""

from __future__ import annotations

import pytest


def test_a_url_is_shown_as_node_shows_it(value):
    assert value("return new URL('https://user:pass@example.org:8080/p/a?x=1&y=2#top')") == (
        "URL {\n"
        "  href: 'https://user:pass@example.org:8080/p/a?x=1&y=2#top',\n"
        "  origin: 'https://example.org:8080',\n"
        "  protocol: 'https:',\n"
        "  username: 'user',\n"
        "  password: 'pass',\n"
        "  host: 'example.org:8080',\n"
        "  hostname: 'example.org',\n"
        "  port: '8080',\n"
        "  pathname: '/p/a',\n"
        "  search: '?x=1&y=2',\n"
        "  searchParams: URLSearchParams { 'x' => '1', 'y' => '2' },\n"
        "  hash: '#top'\n"
        "}"
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("new URLSearchParams()", "URLSearchParams {}"),
        ('new URLSearchParams("a=it\'s")', "URLSearchParams { 'a' => \"it's\" }"),
        ("new URLSearchParams('a=1').keys()", "Object [URLSearchParams Iterator] { 'a' }"),
        ("new URLSearchParams('a=1').entries()", "Object [URLSearchParams Iterator] { [ 'a', '1' ] }"),
        ("Object.assign(new URLSearchParams('a=1'), { own: 2 })", "URLSearchParams { 'a' => '1', own: 2 }"),
        ("URL", "[class URL] { canParse: [Function: canParse], parse: [Function: parse] }"),
        ("Object.create(URL.prototype)", "URL {}"),
    ],
)
def test_its_parts_are_shown_without_being_asked(value, code, text):
    assert value(f"return {code}") == text


def test_no_code_of_the_session_runs_when_a_url_is_shown(value):
    assert (
        value("""
        const url = new URL('https://ä.example/a/b?c=d');
        const touched = [];
        const trap = (object, key) => {
          const { value } = Object.getOwnPropertyDescriptor(object, key);
          Object.defineProperty(object, key, { configurable: true, get() { touched.push(String(key)); return value } });
          return () => Object.defineProperty(object, key, { value, writable: true, configurable: true });
        };
        const restore = [[Array.prototype, Symbol.iterator], [Array.prototype, 'join'], [String.prototype, 'split'],
          [String.prototype, 'slice'], [Map.prototype, 'get'], [Set.prototype, 'has'], [URLSearchParams.prototype, 'toString']]
          .map(([object, key]) => trap(object, key));
        touched.length = 0; // traps have already run while they were set
        console.log(url, url.searchParams);
        const count = touched.length;
        for (let i = 0; i < restore.length; i += 1) restore[i]();
        return count;
    """)
        == "0"
    )


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("Object.keys(Object.getOwnPropertyDescriptors(new URL('a:b')))", ""),
        ("Object.getOwnPropertySymbols(new URL('a:b')).length", "0"),
        ("JSON.stringify({ u: new URL('http://a') })", '{"u":"http://a/"}'),
        ("URL.length + ',' + URL.name + ',' + URLSearchParams.length", "1,URL,0"),
        ("Object.keys(globalThis).includes('URL')", "false"),
        (
            "Object.keys(URL.prototype)",
            "toJSON,toString,href,origin,protocol,username,password,host,hostname,port,pathname,search,searchParams,hash",
        ),
        ("URLSearchParams.prototype[Symbol.iterator] === URLSearchParams.prototype.entries", "true"),
        (
            "const u = new URL('http://a?x=1'); u.searchParams.append('y', 'ä'); u.href",
            "http://a/?x=1&y=%C3%A4",
        ),
        ("const u = new URL('http://a?x=1'); const p = u.searchParams; u.search = 'z=2'; p.get('z')", "2"),
        ("const u = new URL('http://a?x=1'); u.searchParams.delete('x'); u.href", "http://a/"),
        ("const u = new URL('http://a'); u.searchParams === u.searchParams", "true"),
        ("URL.parse('nonsense')", "null"),
        (
            "URL.parse('/p', 'http://a/b').href + URL.parse('http://a?q=1').searchParams.get('q')",
            "http://a/p1",
        ),
        ("new URL('https://xn--fa-hia.de').host === new URL('https://Fa\\u00DF.de').host", "true"),
        ("typeof URL.createObjectURL", "undefined"),
    ],
)
def test_it_is_as_the_standard_says(value, code, result):
    *before, last = code.split("; ")
    assert value(f"{'; '.join(before)}; return String({last})") == repr(result)


def test_an_invalid_url_is_told_as_in_node(value):
    assert (
        value("""
        try { new URL('/x', 'nonsense') } catch (e) { return [e.name, e.message, e.code, e.input, e.base].join() }
    """)
        == "'TypeError,Invalid URL,ERR_INVALID_URL,/x,nonsense'"
    )


def test_variables_of_the_session_with_the_names_of_classes_do_no_harm(Session):  # noqa: N803
    session = Session()
    session.value(
        "let Map = 1, Set = 2, Array = 3, String = 4, Uint8Array = 5, parseInt = 6, Symbol = 7, Number = 8; 0"
    )
    session.value("var TypeError = 9, Object = 10, isNaN = 11, Math = 12; 0")
    assert (
        session.value("new URL('http://\\u00e4.example:80/%7Ea?b=c').href")
        == "'http://xn--4ca.example/%7Ea?b=c'"
    )
    assert session.value("new TextDecoder().decode(new TextEncoder().encode('\\u00e4'))") == "'ä'"


def test_urls_and_parameters_survive_a_snapshot(Session):  # noqa: N803
    session = Session()
    session.value("const u = new URL('https://a.example/?q=1'), p = u.searchParams, it = p.entries(); 0")
    restored = Session(session.snapshot())
    assert restored.value("p.append('r', '2'); it.next(); [u.href, [...it].join()]") == (
        "[ 'https://a.example/?q=1&r=2', 'r,2' ]"
    )
