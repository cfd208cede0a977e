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

client='' everybody=() gone_us=0

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

now_us() {
	echo "${EPOCHREALTIME/[.,]/}"
}

# dump_gone: the tree, to $to; for how long it had stood by then is in $frozen.
dump_gone() {
	to=$(images)
	frozen=$(crtool dump --json -t "$pid" -D "$to" "${dump_with[@]}" | grep -o '"frozen_us":[0-9]*')
	frozen=${frozen#*:}
	[ "$frozen" -gt 0 ]
}

# was_gone US: for so long no client could have an answer.
was_gone() {
	gone_us=$(($1 > gone_us ? $1 : gone_us))
}

# rounds N: dumped and restored under load, N times; the clients go on in between.
rounds() {
	local n seen frozen begun

	for ((n = 0; n < $1; n++)); do
		mapfile -t everybody < <(family)
		dump_gone
		begun=$(now_us)
		within 20 all_gone "${everybody[@]}" || explain "somebody is left"
		crtool restore -d -D "$to" "${restore_with[@]}"
		was_gone $((frozen + $(now_us) - begun))
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

# Nobody saw an error, nothing is locked, and the longest pause was what the tree was gone for; on a loaded machine both
# take longer. But who has asked just when the network was locked has to ask again: his system waits between two times
# for as long as before, later for twice as long each time.
clients_end() {
	local longest most again

	touch "$dir/client/enough"
	wait "$client" || explain "the clients fail: $(cat "$dir/clients.err")"
	read -r longest most again <"$dir/client/longest"
	echo "# $BATS_TEST_DESCRIPTION: $(cat "$dir/clients.out"); gone for $((gone_us / 1000)) ms" >&3
	[ "$most" -le $((gone_us * 5 / 4 + again)) ] && [ "$longest" -le $((gone_us * 2 + again)) ] ||
		explain "clients waited for $most us, one for $longest us; the tree was gone for $gone_us us"
	netns_unlocked
}
