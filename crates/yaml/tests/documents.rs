//! What readers of documents see: positions, views, getters, problems, limits.
#![expect(clippy::expect_used, reason = "a test that cannot go on must end, saying why")]

use campanile_yaml::{Diagnostics, Document, MAX_DEPTH, MAX_NODES, Schema, Severity, Value, parse};
use proptest::prelude::*;

fn read(text: &str) -> (Document, Diagnostics) {
    let (document, diagnostics) = parse("site.yaml".as_ref(), text.as_bytes(), Schema::Safe);
    (document.expect("it is YAML"), diagnostics)
}

fn problems(text: &str) -> Vec<String> {
    let (_, diagnostics) = parse("t".as_ref(), text.as_bytes(), Schema::Safe);
    diagnostics.iter().map(|item| format!("{} {}", item.severity.as_str(), item.one_line())).collect()
}

#[test]
fn nodes_know_where_they_are() {
    let (document, _) = read("hub:\n  é: 'x y'\nlist: [1,\n  2]\n\n\nlast: ~\n");
    let root = document.root();
    let text = root.get("hub").and_then(|hub| hub.get("é")).unwrap();
    assert_eq!((text.span().start.line, text.span().start.column, text.span().end.column), (2, 6, 11));
    let list = root.get("list").unwrap();
    assert_eq!((list.span().start.line, list.span().end.line), (3, 4));
    let source = document.source();
    assert_eq!(
        &source.text()[list.span().start.offset as usize..list.span().end.offset as usize],
        "[1,\n  2]"
    );
    assert_eq!(source.line(2), "  é: 'x y'");
}

#[test]
fn an_alias_has_a_place_of_its_own_and_the_span_of_its_anchor() {
    let (document, _) = read("a: &x [1]\nb: *x\n");
    let b = document.root().get("b").unwrap();
    assert_eq!(b.span().start.line, 1);
    assert_eq!((b.place().start.line, b.place().start.column), (2, 4));
    assert_eq!(b.safe(), Value::List(vec![Value::Int(1)]));
}

#[test]
fn a_scalar_keeps_its_text_beside_its_value() {
    let (document, _) = read("a: 010\nb: yes\nc: 1:20\nd:\n");
    let get = |key: &str| document.root().get(key).unwrap();
    assert_eq!((get("a").text(), get("a").safe()), (Some("010"), Value::Int(8)));
    assert_eq!((get("b").text(), get("b").safe()), (Some("yes"), Value::Bool(true)));
    assert_eq!((get("c").text(), get("c").base()), (Some("1:20"), Value::Str("1:20".to_owned())));
    assert_eq!((get("d").text(), get("d").is_null()), (Some(""), true));
}

#[test]
fn what_is_written_can_be_told_from_what_counts() {
    let (document, diagnostics) = read("base: &b {x: 1}\nm: {<<: *b, members: 1, members: 2}\n");
    let map = document.root().get("m").unwrap();
    let names = |entries: Vec<&str>| entries.join(" ");
    assert_eq!(
        names(map.written_entries().filter_map(|(key, _)| key.text()).collect()),
        "<< members members"
    );
    assert_eq!(names(map.entries().filter_map(|(key, _)| key.text()).collect()), "x members");
    assert_eq!(map.get("members").unwrap().safe(), Value::Int(2));
    assert!(!diagnostics.has_errors());
    let warning = diagnostics.iter().next().unwrap();
    assert_eq!((warning.severity, warning.related.len()), (Severity::Warning, 1));
    assert_eq!(warning.span.unwrap().start.column, 25);
    assert_eq!(warning.related[0].span.start.column, 13);
}

#[test]
fn all_problems_of_a_document_are_reported_at_once() {
    assert_eq!(
        problems("a: *nope\nb: !mine 3\nc: 2001-02-30\nd: {x: 1, x: 2}\ne: !!int one\n? [k]\n: v\n"),
        [
            "error t:1:4: there is no anchor `&nope` above this alias",
            "error t:2:4: unknown tag `!mine` (only the tags of the YAML 1.1 types are known, such as !!str and !!int)",
            "error t:3:4: this cannot be read as a date: month 2 of 2001 has no day 30 (if it is meant as text, put it in quotes)",
            "warning t:4:11: the key `x` is repeated, and only its last value counts",
            "error t:5:10: this cannot be read as an integer: \"one\" is not a number",
            "error t:6:3: a list cannot be a key",
        ]
    );
}

#[test]
fn syntax_errors_say_what_to_do() {
    for (text, expected) in [
        ("a: [1, 2\n", "never closed"),
        ("a: b: c\n", "a `:` cannot stand here"),
        ("a: 1\n\tb: 2\n", "a tab stands where only spaces may"),
        ("a: @b\n", "no value can begin with this character"),
        ("a: 'it's'\n", "closing quote"),
        ("- {a: b}, }\n- c", "expected `-` here"),
        ("a: 1\n---\nb: 1\n", "a second document begins here"),
    ] {
        let all = problems(text).join("\n");
        assert!(all.contains(expected), "{text:?}: {all}");
    }
}

#[test]
fn a_wrong_bracket_is_shown_with_the_one_it_should_close() {
    let (_, diagnostics) = parse("t".as_ref(), b"a: [{b: 'x}'},\n  },\n]\n", Schema::Safe);
    let problem = diagnostics.iter().next().expect("there is a problem");
    assert_eq!(problem.message, "the bracket `[` is closed by `}`");
    let place = |span: campanile_yaml::Span| (span.start.line, span.start.column);
    assert_eq!(problem.span.map(place), Some((2, 3)));
    assert_eq!(place(problem.related[0].span), (1, 4));
}

#[test]
fn bytes_that_are_no_text_are_reported_with_their_place() {
    let (document, diagnostics) = parse("t".as_ref(), b"a: \xff\nb: \x1b[0m\nc: 1\n", Schema::Safe);
    let lines: Vec<String> = diagnostics.iter().map(|item| item.one_line()).collect();
    assert_eq!(lines[0], "t:1:4: this is not UTF-8 (byte 0xff) (save the file as UTF-8)");
    assert!(lines[1].starts_with("t:2:4: the character U+001B is not allowed"), "{}", lines[1]);
    let document = document.expect("reading goes on");
    assert_eq!(document.root().get("c").unwrap().safe(), Value::Int(1));
    assert!(!diagnostics.render(false).contains('\u{1b}'), "what is shown cannot harm a terminal");
}

#[test]
fn getters_report_what_does_not_fit_and_say_nothing_twice() {
    let (document, mut diagnostics) =
        read("text: yes\nnumber: x\nlist: {a: 1}\nbroken: 2001-99-01\nempty:\nhost: h\n");
    let get = |key: &str| document.root().get(key).unwrap();
    assert_eq!(get("text").want_str(&mut diagnostics), None);
    assert_eq!(get("number").want_number(&mut diagnostics), None);
    assert!(get("list").want_list(&mut diagnostics).is_none());
    assert_eq!(get("broken").want_str(&mut diagnostics), None);
    assert_eq!(get("empty").want_text(&mut diagnostics), None);
    assert_eq!(get("host").want_str(&mut diagnostics), Some("h"));
    let lines: Vec<String> = diagnostics.iter().map(|item| item.one_line()).collect();
    assert_eq!(
        lines,
        [
            "site.yaml:1:7: expected a text, found the boolean `yes` (put it in quotes: 'yes')",
            "site.yaml:2:9: expected a number, found the string `x`",
            "site.yaml:3:7: expected a list, found a map",
            "site.yaml:4:9: this cannot be read as a date: there is no month 99 (if it is meant as text, put it in quotes)",
            "site.yaml:5:6: expected a text, found nothing",
        ]
    );
}

#[test]
fn a_misspelt_key_is_told_from_a_stranger() {
    let (document, mut diagnostics) = read("wamp-server: a\nmy_remark: b\nwamp_realm: c\nwamp_real: d\n");
    document.root().warn_of_misspelt_keys(&["wamp_server", "wamp_realm"], &mut diagnostics);
    let lines: Vec<String> = diagnostics.iter().map(|item| item.one_line()).collect();
    assert_eq!(lines, ["site.yaml:1:1: unknown key `wamp-server` (did you mean `wamp_server`?)"]);
}

#[test]
fn diagnostics_show_the_line_and_have_a_json_form() {
    let (_, diagnostics) = read("a: 1\nb: {x: 1, x: 2}\n");
    assert_eq!(
        diagnostics.render(false),
        "warning: the key `x` is repeated, and only its last value counts\n \
         --> site.yaml:2:11\n  |\n2 | b: {x: 1, x: 2}\n  |     -     ^\n  |     |\n  |     it was given here before\n"
    );
    let json = diagnostics.to_json();
    assert_eq!((&json["errors"], &json["warnings"]), (&0.into(), &1.into()));
    let first = &json["diagnostics"][0];
    assert_eq!(
        (&first["line"], &first["column"], &first["file"]),
        (&2.into(), &11.into(), &"site.yaml".into())
    );
    assert_eq!(first["text"], "b: {x: 1, x: 2}");
    assert_eq!(first["related"][0]["column"], 5);
}

#[test]
fn a_small_file_cannot_take_all_memory() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(problems(&laughs).join("").contains(&format!("more than {MAX_NODES} values")));

    let deep = "[".repeat(5000) + &"]".repeat(5000);
    assert!(problems(&deep).join("").contains(&format!("more than {MAX_DEPTH} levels")));

    let mut chain = "a0: &a0 [x]\n".to_owned();
    for level in 1..500 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(problems(&chain).join("").contains(&format!("more than {MAX_DEPTH} levels")));

    let many: String = (0..5000).map(|n| format!("k{n}: 1, ")).collect();
    let merges: String = (0..300).map(|n| format!("x{n}: {{<<: *m}}\n")).collect();
    let text = format!("m: &m {{{many}}}\n{merges}");
    assert!(problems(&text).join("").contains("merge keys add more than"));

    assert!(problems("a: &a [*a]\n").join("").contains("inside the value that it repeats"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn no_soup_of_yaml_makes_it_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "&x ", "*x", "<<: ", "!!int ", "!!set ", "!!omap ", "! ", "'",
                "\"", "|\n", ">\n", "#", "? ", "---\n", "...\n", "\t", "1:20", "=", "é", "\u{feff}", "\u{85}", "%YAML 1.1\n", "\\x", "\r",
            ]),
            0..60,
        )
    ) {
        check(pieces.concat().as_bytes());
    }
}

/// Everything that can be asked of a document is asked.
fn check(bytes: &[u8]) {
    for schema in [Schema::Safe, Schema::Base] {
        let (document, diagnostics) = parse("t".as_ref(), bytes, schema);
        let _ = (diagnostics.render(true), diagnostics.to_json());
        for item in diagnostics.iter() {
            let source = item.source.as_ref().expect("it is about the file");
            if let Some(span) = item.span {
                assert!(
                    span.start <= span.end && source.text().is_char_boundary(span.start.offset as usize),
                    "{item:?}"
                );
            }
        }
        if document.is_none() {
            assert!(diagnostics.has_errors(), "no document, and no reason");
        }
        if let Some(document) = document {
            let value = document.root().safe();
            let _ = (value.python_str(), value.to_tagged_json(), document.root().base());
        }
    }
}
