# Trees of many processes, or threads, of whom the kernel tells at once.

# once_carried: what $pid was comes back from $1, and is as it was.
once_carried() {
	within 5 gone "$pid"
	crtool restore -d -D "$1"
	release
}

# changed_late VICTIM: its processes change between the look and the freeze.
changed_late() {
	local to

	to=$(images)
	park "$1" late
	crtool dump -t "$pid" -D "$to" --action-script "[ \$CRTOOLS_SCRIPT_ACTION != pre-dump ] || {
		touch $dir/change
		until [ -e $dir/changed ]; do sleep 0.01; done
	}"
	once_carried "$to"
}

# untold VICTIM: the kernel tells crtool nothing of all at once.
untold() {
	local to

	to=$(images)
	park "$1"
	blind_crtool dump -t "$pid" -D "$to"
	once_carried "$to"
}

# asked: of how many threads was a dump asked?
asked() {
	crtool dump -R --json -t "$pid" -D "$(images)" | grep -o '"threads_asked": *[0-9]*' | grep -o '[0-9]*$'
}
