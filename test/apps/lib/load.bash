# Servers in a network namespace, their clients in another one, asking without a pause.
#
#	load lib/apps
#	load lib/load
#
#	setup() { needs memcached; load_inside; }
#
#	@test "..." { start memcached ...; clients memcached 11211 50; rounds 2; clients_end; }

# shellcheck source=test/zdtm/lib/netns.bash
source "$(dirname "${BASH_SOURCE[0]}")/../../zdtm/lib/netns.bash"

client='' everybody=()

load_inside() {
	netns_inside
	netns_pair
	fresh_dir
	dump_with=(--tcp-established)
}

# in_client COMMAND...: in the other namespace and in a directory of its own.
in_client() {
	mkdir -p "$dir/client"
	(cd "$dir/client" && exec nsenter -t "$outside" -n "$@" 3>&- 4>&-)
}

# start_client NAME COMMAND...: the same in the background, as $client, with the files NAME.out and NAME.err.
start_client() {
	mkdir -p "$dir/client"
	(cd "$dir/client" && exec nsenter -t "$outside" -n "${@:2}" >"$dir/$1.out" 2>"$dir/$1.err" 3>&- 4>&-) <&0 &
	client=$!
}

listens() {
	in_netns "$netns" ss -Hltn "sport = :$1" | grep -q .
}

# clients KIND PORT NUMBER: start them; each has had an answer.
clients() {
	start_client clients python3 "$PROGRAMS/clients.py" "$1" 10.9.0.1 "$2" "$3"
	within 20 clients_begun || explain "clients do not begin: $(cat "$dir/clients.err")"
}

clients_begun() {
	[ -e "$dir/client/begun" ] || ! alive "$client"
	[ -e "$dir/client/begun" ]
}

# answers_since N: there are more by now.
answers_since() {
	local n

	n=$(cat "$dir/client/answers" 2>/dev/null) && [ "${n:-0}" -gt "$1" ]
}

# Everybody of the tree; children fall to init when they are killed, which reaps them in its time.
family() {
	pstree_of "$pid"
}

pstree_of() {
	local child

	echo "$1"
	for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
		pstree_of "$child"
	done
}

all_gone() {
	local one

	for one; do
		gone "$one" || return 1
	done
}

# rounds N: dumped and restored under load, N times; the clients go on in between.
rounds() {
	local n seen

	for ((n = 0; n < $1; n++)); do
		mapfile -t everybody < <(family)
		dump "${dump_with[@]}"
		within 20 all_gone "${everybody[@]}" || explain "somebody is left"
		crtool restore -d -D "$to" "${restore_with[@]}"
		seen=$(cat "$dir/client/answers")
		within 20 answers_since "$((seen + 20))" || explain "no answers after the restore: $(cat "$dir/clients.err")"
		rm -r "$to"
	done
}

# The same with dump -R.
rounds_running() {
	local n seen

	for ((n = 0; n < $1; n++)); do
		seen=$(cat "$dir/client/answers")
		dump_running
		within 20 answers_since "$((seen + 20))" || explain "no answers after dump -R: $(cat "$dir/clients.err")"
	done
}

# Nobody saw an error, nothing is locked; what the clients measured is in the log.
clients_end() {
	touch "$dir/client/enough"
	wait "$client" || explain "the clients fail: $(cat "$dir/clients.err")"
	echo "# $BATS_TEST_DESCRIPTION: $(cat "$dir/clients.out")" >&3
	netns_unlocked
}
