load lib/zdtm

@test "AIO contexts keep their ids and the events that wait" { zdtm aio; }

@test "that requests under way cannot be seen is told" {
	park aio
	crtool dump -R -t "$pid" -D "$(images)" 2>&1 | grep "not carried: task $pid (aio): AIO context .*under way"
	release
}
