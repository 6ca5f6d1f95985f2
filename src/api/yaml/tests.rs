//! What is quoted and how, compared with `kubectl -o yaml` of v1.32.

use serde_json::json;

use super::to_yaml;

/// What a reader of YAML 1.1 or 1.2 takes for something else than text, where it is not quoted.
const TAKEN: &str = "y Y yes Yes YES on On n N no NO off OFF true FALSE ~ null NULL << =
    .inf -.Inf +.INF .nan .NaN 0 -1 +1 1_000 1__0 1_ 0x1F 0X1f 0o7 -0o7 0b1 007 08 1e3 1E+3 1e400 1. .5
    1_0.5 12:30:45 1:30 -1:30.5 1_000:30 123456789012345678901234567890 0xFFFFFFFFFFFFFFFFFF
    2001-01-01 2001-1-1 2001-01-01T12:30:45Z";
/// What nobody does.
const TEXT: &str =
    "yess nO tRue 1.2.3 v1 e3 1e 0x 0o 12:3x 12:345 ::1 2001-01 2001-01-01x 20010-01-01
    _1 + . a:b a#b 100m 1Gi é -a ?a busybox:latest";
/// What has a sign of YAML's.
const SIGNS: &str = "a: b|a:|#a|a #b|- a|-|[a|{a|*a|&a|!a|>|'a|\"a|%a|@a|`a| a|a |---|...|? a|, a";

fn of(text: &str) -> String {
    let yaml = to_yaml(&json!({ "a": text })).expect("text can be shown");
    yaml.strip_prefix("a: ").expect(&yaml).trim_end().to_owned()
}

#[test]
fn text_is_quoted_where_a_reader_takes_it_for_something_else() {
    let time = "2001-01-01 12:30:45.5 +01:00";
    for text in TAKEN.split_whitespace().chain(["", time]) {
        assert_eq!(of(text), format!("{text:?}"));
    }
    for text in TEXT.split_whitespace().chain(["a b", "1 0"]) {
        assert_eq!(of(text), text);
    }
}

#[test]
fn text_with_signs_of_yaml_is_quoted() {
    for text in SIGNS.split('|').chain(["|"]) {
        assert_eq!(of(text), format!("'{}'", text.replace('\'', "''")));
    }
    let odd = "a\tb\x1b\u{85}\u{7f}\u{1f600}\u{2028}";
    assert_eq!(of(odd), r#""a\tb\e\N\x7F\U0001F600\L""#);
}

#[test]
fn text_of_several_lines_is_a_block_that_keeps_it() {
    assert_eq!(of("a\nb\n"), "|\n  a\n  b");
    assert_eq!(of("a\n\nb"), "|-\n  a\n\n  b");
    assert_eq!(of(" a\nb"), "|2-\n   a\n  b");
    assert_eq!(of("a \nb"), r#""a \nb""#);
    assert_eq!(of("a\tb\n"), r#""a\tb\n""#);
    for text in [
        "a\n\n\n",
        "\n",
        "\n\n",
        "\na",
        "a\n b\n\n c\n",
        "# a\n- b\n",
        "\n \n",
    ] {
        let value = json!([{"a": [text, [text]], "b": text}]);
        let yaml = to_yaml(&value).expect("text can be shown");
        let read: serde_json::Value = serde_yaml::from_str(&yaml).expect(&yaml);
        assert_eq!(read, value, "{yaml}");
    }
}

#[test]
fn lists_stand_at_the_column_of_their_key() {
    let long = "k".repeat(129);
    let value = json!({
        "a": [{"b": 1, "c": [true, null]}, [1, [2]], [], {}],
        "no": {long.as_str(): {"x": 1.5}},
    });
    let yaml = to_yaml(&value).expect("a value can be shown");
    let lists = "a:\n- b: 1\n  c:\n  - true\n  - null\n- - 1\n  - - 2\n- []\n- {}\n";
    let maps = format!("\"no\":\n  ? {long}\n  :\n    x: 1.5\n");
    assert_eq!(yaml, format!("{lists}{maps}"));
    let read: serde_json::Value = serde_yaml::from_str(&yaml).expect(&yaml);
    assert_eq!(read, value);
}
