#!/bin/bash
# Guess: a file that containerd's `imports` brings in changes the keys it has and leaves the others of the main file.
# True on 2.1. On 1.6 and 1.7 a plugin's section in it replaces the main file's whole section: what that one said and the drop-in does not
# repeat goes back to the default, nested tables too, without a word (here the CNI directory and SELinux). Other tables,
# [timeouts] say, and keys at the top are merged. On 1.6 and 1.7 repeat the whole section, or keep to one file.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-12-01.
. "$(dirname "$0")/lib.sh"
mkdir "$work/conf.d"
cat >"$work/main.toml" <<END
version = 2
imports = ["$work/conf.d/*.toml"]
oom_score = -5
[timeouts]
  "one" = "1s"
  "two" = "2s"
[plugins."io.containerd.grpc.v1.cri"]
  enable_selinux = true
  max_container_log_line_size = 777
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "/main/net.d"
    max_conf_num = 3
[plugins."io.containerd.gc.v1.scheduler"]
  pause_threshold = 0.5
END
cat >"$work/conf.d/10-more.toml" <<END
version = 2
[timeouts]
  "two" = "9s"
[plugins."io.containerd.grpc.v1.cri"]
  max_container_log_line_size = 888
END
for it in "${containerds[@]}"; do
    suite=${it%%=*}
    deb "$suite" "containerd=${it#*=}"
    "$work/$suite/usr/bin/containerd" --config "$work/main.toml" config dump 2>/dev/null | tr "'" '"' >"$work/dump"
    told=(true '"/main/net.d"' 3)
    [ "$suite" = sid ] || told=(false '"/etc/cni/net.d"' 1)
    value() { sed -nE "s/^ *\"?$1\"? = (.*)$/\1/p" "$work/dump" | grep . || echo none; }
    same "$suite, what the import says (max_container_log_line_size)" 888 "$(value max_container_log_line_size)"
    same "$suite, main file, same section (enable_selinux)" "${told[0]}" "$(value enable_selinux)"
    same "$suite, main file, table in it (cni.conf_dir)" "${told[1]}" "$(value conf_dir)"
    same "$suite, main file, table in it (cni.max_conf_num)" "${told[2]}" "$(value max_conf_num)"
    same "$suite, main file, timeouts one" '"1s"' "$(value one)"
    same "$suite, main file, other section (pause_threshold)" 0.5 "$(value pause_threshold)"
    same "$suite, main file, top (oom_score)" -5 "$(value oom_score)"
done
