# Checkpoints that cannot be restored: the reason is said, nothing is forked, the images stay.
load ../zdtm/lib/zdtm
load lib/refuse

# A checkpoint of park in $to, and its sums.
checkpoint() {
	park "${@:-park}"
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	before=$(cd "$to" && sha256sum ./*)
}

# bad CODE MESSAGE: restore says so, and nobody has the pid.
bad() {
	says "$1" "$2" crtool restore -d -D "$to"
	gone "$pid"
}

intact() {
	[ "$before" = "$(cd "$to" && sha256sum ./*)" ]
}

@test "no such directory" {
	says 6 "checkpoint /nowhere: there is no such directory; give one that a dump was made in: No such file or directory" crtool restore -D /nowhere
}

@test "an empty directory is no checkpoint" {
	to=$(images)
	says 6 "no checkpoint in $to: manifest.img is missing; the dump did not finish*" crtool restore -D "$to"
}

@test "a checkpoint that was never sealed" {
	checkpoint
	rm "$to/manifest.img"
	bad 6 "no checkpoint in $to: manifest.img is missing; the dump did not finish*"
}

@test "each file that is missing is missed" {
	local file

	checkpoint
	for file in "$to"/*; do
		[[ $file != */manifest.img ]] || continue
		mv "$file" "$dir/aside"
		bad 6 "checkpoint $to: ${file##*/} is missing; *"
		mv "$dir/aside" "$file"
	done
	intact
	crtool restore -d -D "$to"
	release
}

@test "each file that is a byte shorter or longer is damaged" {
	local file size

	checkpoint
	for file in "$to"/*; do
		cp "$file" "$dir/aside"
		size=$(stat -c %s "$file")
		truncate -s $((size - 1)) "$file"
		bad 6 "checkpoint $to: ${file##*/}*"
		truncate -s $((size / 2)) "$file"
		bad 6 "checkpoint $to: ${file##*/}*"
		truncate -s 0 "$file"
		bad 6 "checkpoint $to: ${file##*/}*"
		cp "$dir/aside" "$file"
		printf x >>"$file"
		bad 6 "checkpoint $to: ${file##*/}*"
		cp "$dir/aside" "$file"
	done
	intact
	crtool restore -d -D "$to"
	release
}

@test "a flipped bit in any file is found" {
	local file size part

	checkpoint
	for file in "$to"/*; do
		size=$(stat -c %s "$file")
		for part in {0..15}; do
			flip "$file" $((size * part / 16))
			bad 6 "checkpoint $to: ${file##*/}*"
			flip "$file" $((size * part / 16))
		done
	done
	intact
	crtool restore -d -D "$to"
	release
}

@test "a newer version is refused by its number" {
	checkpoint
	flip "$to/manifest.img" 11
	bad 6 "checkpoint $to: manifest.img: written by a newer crtool (format *, this one reads up to *); restore with that crtool"
}

@test "a symbolic link in the place of a file is not followed" {
	checkpoint
	mv "$to/state.img" "$dir/aside"
	ln -s "$dir/aside" "$to/state.img"
	bad 6 "checkpoint $to: state.img*"
}

@test "a pid that is in use is named, with its holder" {
	local restored

	checkpoint
	restored=$pid
	hold "$restored"
	says 8 "pid $restored is in use by task $restored (sleep)*" crtool restore -d -D "$to"
	intact
	kill "$holder"
	within 5 gone "$restored"
	pid=$restored
	crtool restore -d -D "$to"
	release
}

@test "of a program that still runs its pid is named, not the ports that it has" {
	park zdtm/sk_udp bound 4
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	says 8 "pid $pid is in use by task $pid (sk_udp)*" crtool restore -d -D "$to"
	running "$pid"
	release
}

# A sleep with the pid $1, as $holder.
hold() {
	echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid || skip "may not choose pids"
	sleep 1000 3>&- 4>&- &
	holder=$!
	disown "$holder"
	[ "$holder" = "$1" ] || skip "somebody else took pid $1"
}

# One whose process group and session have the number $1, which was that of their leader, as $holder.
hold_group() {
	echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid || skip "may not choose pids"
	# shellcheck disable=SC2016 # for that shell
	setsid sh -c 'sleep 1000 & echo "$$ $!"' >"$dir/held" 3>&- 4>&- &
	wait "$!"
	read -r leader holder <"$dir/held"
	[ "$leader" = "$1" ] || skip "somebody else took pid $1"
}

@test "a pid that is in use as a process group or session is named, or waited for where that ends" {
	local leader

	checkpoint
	hold_group "$pid"
	says 8 "pid $pid is in use as the number of a process group or session of others;*" crtool restore -d -D "$to"
	intact
	{
		sleep 0.5
		kill "$holder"
	} &
	crtool restore -d -D "$to"
	release
}

@test "a file that is gone, or has changed, is named" {
	checkpoint fault/opener
	mv "$dir/file" "$dir/aside"
	bad 4 "file $dir/file: is gone since the dump; put it back"
	cp "$dir/aside" "$dir/file"
	echo more >>"$dir/file"
	bad 4 "file $dir/file: *"
	mv "$dir/aside" "$dir/file"
	intact
	crtool restore -d -D "$to"
	release
}

@test "restore without the right to choose a pid" {
	[ "$(id -u)" = 0 ] || skip "not root"
	checkpoint
	chmod -R a+rX "$to"
	says 5 "*" setpriv --reuid=65534 --clear-groups "$BUILD/crtool" restore -d -D "$to"
	gone "$pid"
	intact
}
