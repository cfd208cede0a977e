load ../zdtm/lib/zdtm

# Idle CPUs are kept from falling asleep until the tree runs on, and no longer (lib/awake.h).

setup() {
	true >/dev/cpu_dma_latency 2>/dev/null || skip "/dev/cpu_dma_latency cannot be opened"
}

# moments OPTION...: at which moments of a dump crtool, or anybody that it has forked, keeps them awake.
moments() {
	run crtool dump -t "$pid" -D "$(images)" "$@" --action-script 'cd /proc
		for p in $PPID $(pgrep -P $PPID crtool-guard); do
			ls -l $p/fd | grep -q cpu_dma_latency && echo $CRTOOLS_SCRIPT_ACTION
		done
		true'
	echo "$output" | grep -o '^[a-z]*-[a-z]*$' | sort -u | tr '\n' ' '
}

@test "idle CPUs are kept awake while the tree stands still" {
	park park
	[ "$(moments -R)" = "network-lock pre-dump " ]
	[ "$(moments -R --fail-at pages)" = "network-lock pre-dump " ]
	[ "$(moments)" = "network-lock pre-dump " ]
	within 5 gone "$pid"
}
