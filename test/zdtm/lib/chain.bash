# Checkpoints beside each other, each an increment of the one before.
#
#	load lib/zdtm
#	load lib/chain
#
#	park track
#	chain_new
#	save 1 pre-dump
#	save 2 dump -s --track-mem
#	same

# Directories for checkpoints, beside each other: $chain/1, $chain/2 ...
chain_new() {
	chain=$(images)
	last=''
}

# save N COMMAND [OPTIONS]: an increment of the last one.
save() {
	local n=$1 command=$2

	shift 2
	crtool "$command" -t "$pid" -D "$chain/$n" ${last:+--prev-images-dir ../$last} --no-sync "$@" || return 1
	last=$n
}

# The tree stands still, and its memory is byte by byte what the checkpoint has.
same() {
	local each

	for each in $pid $(cat "/proc/$pid/task/"*/children); do
		alive "$each" || continue
		"$BUILD/test/tools/compare" "$chain/$last" "$each" || return 1
	done
}

# Of all its processes, who are in one group.
go_on() {
	kill -CONT -- "-$pid"
}

# KiB of the pages of a checkpoint.
stored() {
	du -kc --apparent-size "$chain/$1"/pages-*.img | tail -1 | cut -f 1
}
