import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Iterator;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * Stock socket.io-client-java, controlled by JSON lines on stdin.
 *
 * <p>It writes a line for each event of the server and for each command with an id. Bytes are encoded as
 * {"$bytes": base64}.
 */
public final class Client {
  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
  private static Socket socket;

  public static void main(String[] arguments) throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) obey(new JSONObject(line));
    System.exit(0);
  }

  /** Executes the command in one line. */
  private static void obey(JSONObject line) throws Exception {
    int id = line.optInt("id");
    switch (line.getString("command")) {
      case "connect" -> connect(line, id);
      case "ask" -> socket.emit(line.getString("event"), arguments(line), (Ack) answer -> write("answer", id, answer[0]));
      case "emit" -> socket.emit(line.getString("event"), arguments(line));
      case "close" -> {
        socket.disconnect();
        write("answer", id, JSONObject.NULL);
      }
      default -> throw new IllegalArgumentException(line.toString());
    }
  }

  private static void connect(JSONObject line, int id) throws Exception {
    IO.Options options = new IO.Options();
    options.forceNew = true;
    options.reconnection = false;
    JSONArray transports = line.optJSONArray("transports");
    if (transports != null) options.transports = new String[] {transports.getString(0)};
    socket = IO.socket(URI.create(line.getString("url")), options);
    socket.once(Socket.EVENT_CONNECT, nothing -> write("answer", id, JSONObject.NULL));
    socket.onAnyIncoming(
        event -> {
          JSONArray rest = new JSONArray();
          for (int at = 1; at < event.length; at++) rest.put(packed(event[at]));
          write("event", event[0], rest);
        });
    socket.connect();
  }

  private static Object[] arguments(JSONObject line) throws Exception {
    JSONArray list = line.getJSONArray("args");
    Object[] arguments = new Object[list.length()];
    for (int at = 0; at < arguments.length; at++) arguments[at] = unpacked(list.get(at));
    return arguments;
  }

  private static synchronized void write(String kind, Object what, Object value) {
    try {
      JSONObject line = new JSONObject().put(kind, what);
      OUT.println(line.put(kind.equals("event") ? "args" : "value", packed(value)));
      OUT.flush();
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  /** Encodes bytes for transfer; changes arrays and objects in place. */
  private static Object packed(Object value) {
    try {
      if (value instanceof byte[] bytes) {
        return new JSONObject().put("$bytes", Base64.getEncoder().encodeToString(bytes));
      }
      if (value instanceof JSONArray list) {
        for (int at = 0; at < list.length(); at++) list.put(at, packed(list.get(at)));
      } else if (value instanceof JSONObject object) {
        for (Iterator<?> keys = object.keys(); keys.hasNext(); ) {
          String key = (String) keys.next();
          object.put(key, packed(object.get(key)));
        }
      }
      return value;
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  private static Object unpacked(Object value) throws Exception {
    if (value instanceof JSONArray list) {
      for (int at = 0; at < list.length(); at++) list.put(at, unpacked(list.get(at)));
    } else if (value instanceof JSONObject object) {
      if (object.has("$bytes")) return Base64.getDecoder().decode(object.getString("$bytes"));
      for (Iterator<?> keys = object.keys(); keys.hasNext(); ) {
        String key = (String) keys.next();
        object.put(key, unpacked(object.get(key)));
      }
    }
    return value;
  }
}
