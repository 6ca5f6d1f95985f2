#!/bin/bash
# Guess: serde_yaml quotes every string that another YAML reader takes for something else, so that what it writes can
# be given to kubectl.
# True: it quotes what is no string to itself. kubectl reads YAML 1.1 booleans and digits with underscores, which
# serde_yaml 0.9 writes bare: `yes`, `on`, `y`, `n`, `off`, `NO` become booleans, `1_000` and `1__0` numbers. A label or an
# environment value of these, printed as YAML and applied again, is refused or another one.
# What serde_yaml does quote (012, 0b11, 0o14, null, ~, .5) and dates, 1:30, = and << pass unharmed.
# Seen: serde_yaml 0.9.34, kubectl 1.20.2 and 1.36.4; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1
deb sid kubectl=1.36.4+ds-1
texts=(yes on y n off NO 1_000 1__0 012 0b11 0o14 null '~' .5 1e3 2001-01-01 1:30 190:20:30 = '<<')
told=(true true true false false false 1000 10 '"012"' '"0b11"' '"0o14"' '"null"' '"~"' '".5"' '"1e3"'
    '"2001-01-01"' '"1:30"' '"190:20:30"' '"="' '"\u003c\u003c"')
rust_args=("$work" "${texts[@]}")
rust 'serde_yaml = "=0.9.34"' <<'R'
fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap();
    for (i, text) in args.enumerate() {
        let data = std::collections::BTreeMap::from([("key", &text)]);
        let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  ";
        std::fs::write(format!("{dir}/{i}.yaml"), head.to_string() + &serde_yaml::to_string(&data).unwrap()).unwrap();
    }
}
R
for suite in bookworm sid; do
    for i in "${!texts[@]}"; do
        seen=$("$work/$suite/usr/bin/kubectl" --kubeconfig=/dev/null annotate --local -f "$work/$i.yaml" a=b -o json |
            sed -nE 's/^ *"key": (.*)$/\1/p')
        same "$suite: ${texts[i]} written as \`$(tail -n 1 "$work/$i.yaml" | sed 's/.*key: //')\` is read as" "${told[i]}" "$seen"
    done
done
