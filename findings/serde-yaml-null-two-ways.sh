#!/bin/bash
# Guess: to serde_yaml a number, a boolean or null in the place of a String is an error, and `key:`, `key: ~` and `key: null`
# are the same everywhere.
# True: a String field takes any plain scalar as it is spelled: `5`, `true`, `0x1F`, and null: `~` is the string "~", `null` is
# "null", nothing is "". For a Vec, nothing is the empty list, and `~` and `null` are errors. So a String
# from a file may be "~" where kubectl would have said null, and only Option tells the three alike.
# Seen: serde_yaml 0.9.34 (serde 1.0.228); 2026-11-30.
. "$(dirname "$0")/lib.sh"
rust 'serde_yaml = "=0.9.34"' 'serde = { version = "=1.0.228", features = ["derive"] }' >"$work/seen" <<'R'
use serde::{de::DeserializeOwned, Deserialize};
use std::fmt::Debug;

#[derive(Debug, Deserialize)]
struct Field<T> {
    a: T,
}

fn read<T: DeserializeOwned + Debug>(value: &str) -> String {
    match serde_yaml::from_str::<Field<T>>(&format!("a: {value}")) {
        Ok(field) => format!("{:?}", field.a),
        Err(_) => "error".to_string(),
    }
}

fn main() {
    for value in ["5", "true", "0x1F", "", "~", "null", "[x]"] {
        println!("{} {} {}", read::<String>(value), read::<Option<String>>(value), read::<Vec<String>>(value));
    }
}
R
told=('5=="5" Some("5") error' 'true=="true" Some("true") error' '0x1F=="0x1F" Some("0x1F") error' '=="" None []'
    '~=="~" None error' 'null=="null" None error' '[x]==error error ["x"]')
for i in "${!told[@]}"; do
    same "'a: ${told[i]%%==*}' as String, Option<String>, Vec<String>" "${told[i]#*==}" "$(sed -n $((i + 1))p "$work/seen")"
done
