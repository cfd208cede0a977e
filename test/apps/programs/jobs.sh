# Jobs in the background, a trap, a here-document, a co-process, process substitution and a subshell that ends early.
trap 'echo trapped' USR1
(exit 3) &
early=$!
for i in 1 2 3; do
	(
		sleep "4.$i"
		echo "job $i"
	) &
	jobs[i]=$!
	echo "started $i"
done
coproc DOUBLE { while read -r n; do echo $((n * 2)); done; }
exec 8>&"${DOUBLE[1]}" 9<&"${DOUBLE[0]}"
echo begun
for n in 1 2 3 4 5; do
	echo "$n" >&8
	read -r twice <&9
	sleep 0.6
	echo "$n $twice"
done
wait "$early"
echo "the early one: $?"
while read -r line; do
	echo "from within: $line"
	sleep 0.05
done <<-END
	one
	two
END
kill -USR1 $$
wait "${jobs[@]}"
diff <(seq 1 1000) <(seq 2 1001)
echo "the end"
