import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.structurizr.Workspace;
import com.structurizr.dsl.StructurizrDslParser;
import com.structurizr.export.Diagram;
import com.structurizr.export.plantuml.StructurizrPlantUMLExporter;
import com.structurizr.model.Component;
import com.structurizr.model.Container;
import com.structurizr.model.Element;
import com.structurizr.model.Relationship;
import com.structurizr.model.SoftwareSystem;
import com.structurizr.view.ElementStyle;
import com.structurizr.view.ModelView;
import com.structurizr.view.RelationshipStyle;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import net.sourceforge.plantuml.FileFormat;
import net.sourceforge.plantuml.FileFormatOption;
import net.sourceforge.plantuml.SourceStringReader;

/**
 * Writes export/*.puml (what the pictures are drawn from) and export/model.json (which a test compares with what the
 * tests' own parser reads) from workspace.dsl and, given a third folder, draws the pictures.
 *
 * <p>Usage: Diagrams workspace.dsl EXPORTS [PICTURES]
 */
public final class Diagrams {
  private static final String LEGEND = "legend"; // the property of a style that says what the style means

  public static void main(String[] args) throws Exception {
    Path source = Path.of(args[0]);
    Path exports = Path.of(args[1]);
    Path pictures = args.length > 2 ? Path.of(args[2]) : null;
    StructurizrDslParser parser = new StructurizrDslParser();
    parser.parse(source.toFile());
    Workspace workspace = parser.getWorkspace();
    Files.createDirectories(exports);
    Files.writeString(exports.resolve("model.json"), model(workspace));
    for (Diagram diagram : new StructurizrPlantUMLExporter().export(workspace)) {
      String text = finished(diagram, workspace);
      Files.writeString(exports.resolve(diagram.getKey() + ".puml"), text);
      if (pictures != null) {
        draw(text, pictures.resolve(diagram.getKey() + ".png"));
      }
    }
  }

  /** The exporter's text, with a legend in it and a width that a README has room for. */
  private static String finished(Diagram diagram, Workspace workspace) {
    String text = diagram.getDefinition();
    // A title of one line: the view's own description, which already names it.
    String description = diagram.getView().getDescription();
    text = text.replaceFirst("(?m)^title .*$", java.util.regex.Matcher.quoteReplacement(
        "title <size:22>" + description + "</size>\n\nskinparam defaultFontName DejaVu Sans\nscale max 1600 width"));
    // A title in the middle of a frame is where arrows come in.
    text = text.replaceAll(
        "(?s)(\\.(?:Boundary|DeploymentNode)-[^{]*\\{[^}]*HorizontalAlignment: )center", "$1left");
    text = text.replaceAll("\\[Deployment Node: ([^\\]]*)\\]", "$1");
    return text.replace("@enduml", legend(diagram, workspace) + "\n@enduml\n");
  }

  private static String legend(Diagram diagram, Workspace workspace) {
    ModelView view = (ModelView) diagram.getView();
    var styles = workspace.getViews().getConfiguration().getStyles();
    Set<String> rows = new LinkedHashSet<>();
    for (ElementStyle style : styles.getElements()) {
      String words = style.getProperties().get(LEGEND);
      if (words != null && view.getElements().stream().anyMatch(shown -> tag(style, tags(shown.getElement())))) {
        rows.add("|<" + style.getBackground() + ">      | <size:15>" + words + "</size> |");
      }
    }
    for (RelationshipStyle style : styles.getRelationships()) {
      String words = style.getProperties().get(LEGEND);
      if (words != null
          && view.getRelationships().stream()
              .anyMatch(shown -> shown.getRelationship().getTagsAsSet().contains(style.getTag()))) {
        String dash = style.getStyle() == null || style.getStyle().name().equals("Solid") ? "——▶" : "- - ▶";
        rows.add("| <color:" + style.getColor() + "><size:15>" + dash + "</size></color> | <size:15>" + words + "</size> |");
      }
    }
    return "legend left\n" + String.join("\n", rows) + "\nendlegend";
  }

  private static Set<String> tags(Element element) {
    // An instance in a deployment looks like what it is an instance of.
    if (element instanceof com.structurizr.model.ContainerInstance instance) {
      return instance.getContainer().getTagsAsSet();
    }
    return element.getTagsAsSet();
  }

  /** Whether this style is the one that colours the element: the last of its tags that has a legend. */
  private static boolean tag(ElementStyle style, Set<String> tags) {
    return tags.contains(style.getTag()) && tags.stream().reduce((first, last) -> last).get().equals(style.getTag());
  }

  private static void draw(String text, Path picture) throws Exception {
    System.setProperty("PLANTUML_LIMIT_SIZE", "16384");
    try (OutputStream out = Files.newOutputStream(picture)) {
      // With its metadata: a PNG holds the text that it was drawn from, and a test reads it there.
      new SourceStringReader(text).outputImage(out, 0, new FileFormatOption(FileFormat.PNG, true));
    }
    System.out.println(picture);
  }

  private static String model(Workspace workspace) throws Exception {
    ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    ObjectNode root = mapper.createObjectNode();
    ArrayNode elements = root.putArray("elements");
    ArrayNode relations = root.putArray("relations");
    List<Relationship> found = new ArrayList<>();
    for (SoftwareSystem system : workspace.getModel().getSoftwareSystems()) {
      element(elements, system, null, found);
      for (Container container : system.getContainers()) {
        element(elements, container, system, found);
        for (Component component : container.getComponents()) {
          element(elements, component, container, found);
        }
      }
    }
    for (Relationship relationship : found) {
      ObjectNode node = relations.addObject();
      node.put("from", relationship.getSource().getCanonicalName());
      node.put("to", relationship.getDestination().getCanonicalName());
      node.put("description", relationship.getDescription());
      node.put("technology", relationship.getTechnology());
      node.put("tags", relationship.getTags());
    }
    return mapper.writeValueAsString(root) + "\n";
  }

  private static void element(ArrayNode elements, Element element, Element parent, List<Relationship> found) {
    ObjectNode node = elements.addObject();
    node.put("name", element.getCanonicalName());
    node.put("kind", element.getClass().getSimpleName());
    if (parent != null) {
      node.put("parent", parent.getCanonicalName());
    }
    node.put("description", element.getDescription());
    ObjectNode properties = node.putObject("properties");
    for (Map.Entry<String, String> property : element.getProperties().entrySet()) {
      if (!property.getKey().startsWith("structurizr.")) {
        properties.put(property.getKey(), property.getValue());
      }
    }
    found.addAll(element.getRelationships());
  }
}
