import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/* An HTTP server with a pool of threads: Server ADDRESS PORT */
class Server {
	public static void main(String[] args) throws Exception {
		HttpServer server = HttpServer.create(
			new InetSocketAddress(args[0], Integer.parseInt(args[1])), 100);

		server.createContext("/", exchange -> {
			byte[] hello = "hello\n".getBytes();

			exchange.sendResponseHeaders(200, hello.length);
			exchange.getResponseBody().write(hello);
			exchange.close();
		});
		server.setExecutor(Executors.newFixedThreadPool(4));
		server.start();
	}
}
