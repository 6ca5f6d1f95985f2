#!/bin/bash
# Installs what packaging/files names into a tree, or takes it away again.
#
#   stage.sh install FAMILY PROGRAM DESTDIR PREFIX    FAMILY is deb, rpm or src
#   stage.sh uninstall FAMILY PROGRAM DESTDIR PREFIX  what administrators put in is left
#   stage.sh list FAMILY                              mode, what and path of each, for the rpm
#
# The reference (man pages, completions, config.yaml) must be in target/package/reference.
. "$(dirname "$0")/lib.sh"

action=${1:?usage: stage.sh install|uninstall|list FAMILY PROGRAM DESTDIR PREFIX}
family=${2:?which family: deb, rpm or src?}
program=${3:-}
root=${4:-}
prefix=${5:-/usr}
reference=$out/reference

# each FUNCTION: calls it with what, mode, path and source of each line for this family.
each() {
    local families what mode where from path
    while read -r families what mode where from; do
        case ,$families, in
        *,all,* | *,"$family",*) ;;
        *) continue ;;
        esac
        path=$where
        [ "${where#/}" != "$where" ] || path=$prefix/$where
        case $from in
        @reference/*)
            local page
            for page in "$reference"/${from#@reference/}; do
                [ -e "$page" ] || { echo "$page is not there: make reference" >&2; exit 1; }
                case $path in
                */man[15]/) "$1" "$what" "$mode" "$path$(basename "$page").gz" "$page" ;;
                *) "$1" "$what" "$mode" "$path" "$page" ;;
                esac
            done
            ;;
        *) "$1" "$what" "$mode" "$path" "$from" ;;
        esac
    done < <(grep -v '^ *\(#\|$\)' packaging/files)
}

# content PATH SOURCE: to standard output.
content() {
    case $2 in
    @program) cat "$program" ;;
    @copyright) cat "$out/copyright" ;;
    @changelog) gzip -9n <packaging/changelog ;;
    systemd/*) sed "s|/usr/bin/setlet|$prefix/bin/setlet|; s|/usr/share/doc|$prefix/share/doc|" "$2" ;;
    *) case $1 in *.gz) gzip -9n <"$2" ;; *) cat "$2" ;; esac ;;
    esac
}

put() { # WHAT MODE PATH SOURCE
    local to=$root$3 temporary
    if [ "$1" = dir ]; then
        [ -d "$to" ] || install -d -m "$2" "$to"
        return
    fi
    if [ "$1" = conf ] && [ -e "$to" ]; then
        echo "kept: $to"
        return
    fi
    install -d -m 755 "$(dirname "$to")"
    temporary=$(mktemp "$to.XXXXXX")
    content "$3" "$4" >"$temporary"
    chmod "$2" "$temporary"
    # By rename: the program may be running.
    mv -f "$temporary" "$to"
}

take() { # WHAT MODE PATH SOURCE
    local to=$root$3
    if [ "$1" = conf ] && [ -e "$to" ] && ! content "$3" "$4" | cmp -s - "$to"; then
        echo "changed, left: $to"
    elif [ "$1" != dir ]; then
        rm -f "$to"
    fi
}

take_directories() { # WHAT MODE PATH SOURCE
    local directory=$root$3
    case $1-$3 in
    dir-* | */doc/* | */licenses/*) ;;
    *) return 0 ;;
    esac
    [ "$1" = dir ] || directory=$(dirname "$directory")
    while [ "${directory##*/}" != share ] && rmdir "$directory" 2>/dev/null; do directory=$(dirname "$directory"); done
}

tell() { echo "$2 $1 $3"; }

case $action in
install)
    each put
    ;;
uninstall)
    each take
    # From the innermost out; directories that still hold something stay.
    for pass in 1 2; do each take_directories; done
    ;;
list) each tell ;;
*) echo "stage.sh: install, uninstall or list" >&2 && exit 2 ;;
esac
