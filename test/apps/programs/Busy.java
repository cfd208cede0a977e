import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/** Code worth compiling and a heap worth collecting, in several threads, with a child in between. */
public class Busy {
	static long churn(int round) {
		Map<Integer, String> map = new HashMap<>();
		for (int i = 0; i < 40_000; i++)
			map.put(i * 7 + round, "text " + i);
		long sum = 0;
		for (var entry : map.entrySet())
			sum = sum * 31 + entry.getKey() + entry.getValue().hashCode();
		return sum;
	}

	public static void main(String[] args) throws Exception {
		var pool = Executors.newFixedThreadPool(3);
		var child = new ProcessBuilder("sleep", "1").start();
		long total = 0;
		for (int round = 0; round < 24; round++) {
			List<Future<Long>> futures = new ArrayList<>();
			for (int i = 0; i < 3; i++) {
				int n = round * 3 + i;
				futures.add(pool.submit(() -> churn(n)));
			}
			for (var future : futures)
				total = total * 17 + future.get();
			total += IntStream.range(0, 10_000).parallel().mapToLong(n -> (long) n * n).sum();
			Thread.sleep(20);
			System.out.println(round + " " + total);
		}
		System.out.println("child: " + child.waitFor());
		pool.shutdown();
	}
}
