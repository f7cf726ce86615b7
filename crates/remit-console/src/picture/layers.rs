//! A picture of layers: what leads to what, from left to right. Delegation chains and what an agent can reach are drawn so.
//!
//! The order is the one that was given, so that the same data give the same picture.

use askama::Template;

use super::DRAWN_MAX;
use crate::text::Shown;

/// Width and height of a node, and the room between two of them.
const WIDTH: usize = 168;
const HEIGHT: usize = 40;
const DOWN: usize = 12;
/// Room for what stands on an edge.
const ACROSS: usize = 86;
/// Room between layers whose edges carry words.
const ACROSS_WORDS: usize = 196;
/// Characters of a name in a node, and of words on an edge.
const NAME_CHARS: usize = 22;
const WORDS_CHARS: usize = 30;
/// Lines on an edge; what is more is in the table.
const LINES: usize = 3;

/// One thing.
pub(crate) struct Node {
    pub(crate) layer: usize,
    pub(crate) name: String,
    pub(crate) under: String,
    pub(crate) href: String,
    /// `plain`, `good`, `warn`, `bad`.
    pub(crate) class: &'static str,
}

/// What leads from one to another, by their places in the list of nodes.
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// 1 to 6: how much it is used. 0 is never, and dashed.
    pub(crate) weight: u8,
    /// What stands on it.
    pub(crate) words: Vec<String>,
}

struct Box {
    x: usize,
    y: usize,
    name: Shown,
    under: Shown,
    title: Shown,
    href: String,
    class: &'static str,
}

struct Line {
    path: String,
    width: u8,
    never: bool,
    x: usize,
    y: usize,
    words: Vec<Shown>,
}

/// The picture.
#[derive(Template)]
#[template(path = "pictures/layers.html")]
pub(crate) struct Layers {
    id: &'static str,
    title: Shown,
    note: &'static str,
    width: usize,
    height: usize,
    boxes: Vec<Box>,
    lines: Vec<Line>,
}

fn cut(text: &str, chars: usize) -> Shown {
    if text.chars().count() <= chars {
        return Shown::line(text);
    }
    let kept: String = text.chars().take(chars.saturating_sub(1)).collect();
    Shown::line(format!("{kept}…"))
}

impl Layers {
    /// Nodes above [`DRAWN_MAX`] have to be grouped before; what is left of them is not drawn, and the note says so.
    ///
    /// - `id`: of the element, for links and tests.
    /// - `note`: what width, dashes and signs mean.
    pub(crate) fn new(
        id: &'static str,
        title: &str,
        note: &'static str,
        nodes: &[Node],
        edges: &[Edge],
    ) -> Self {
        let nodes = nodes.get(..DRAWN_MAX.min(nodes.len())).unwrap_or_default();
        let layers = nodes.iter().map(|n| n.layer + 1).max().unwrap_or(0);
        let wordy = edges.iter().any(|e| !e.words.is_empty());
        let across = if wordy { ACROSS_WORDS } else { ACROSS };
        let tallest = (0..layers)
            .map(|l| nodes.iter().filter(|n| n.layer == l).count())
            .max()
            .unwrap_or(0);
        let height = (tallest * (HEIGHT + DOWN)).max(HEIGHT + DOWN + LINES * 12);
        let mut seen = vec![0usize; layers];
        let boxes: Vec<Box> = nodes
            .iter()
            .map(|n| {
                let many = nodes.iter().filter(|m| m.layer == n.layer).count();
                let row = seen.get(n.layer).copied().unwrap_or(0);
                if let Some(slot) = seen.get_mut(n.layer) {
                    *slot += 1;
                }
                let free = height.saturating_sub(many * (HEIGHT + DOWN)) / 2;
                Box {
                    x: n.layer * (WIDTH + across) + 1,
                    y: free + row * (HEIGHT + DOWN) + DOWN / 2,
                    name: cut(&n.name, NAME_CHARS),
                    under: cut(&n.under, NAME_CHARS + 4),
                    title: Shown::line(format!("{} {}", n.name, n.under)),
                    href: n.href.clone(),
                    class: n.class,
                }
            })
            .collect();
        let lines = edges.iter().filter_map(|e| line(&boxes, e)).collect();
        Self {
            id,
            title: Shown::line(title),
            note,
            width: layers * WIDTH + layers.saturating_sub(1) * across + 2,
            height,
            boxes,
            lines,
        }
    }
}

fn line(boxes: &[Box], edge: &Edge) -> Option<Line> {
    let (from, to) = (boxes.get(edge.from)?, boxes.get(edge.to)?);
    let (x1, y1) = (from.x + WIDTH, from.y + HEIGHT / 2);
    let (x2, y2) = (to.x, to.y + HEIGHT / 2);
    let middle = x1.midpoint(x2);
    let mut words: Vec<Shown> = edge
        .words
        .iter()
        .take(LINES)
        .map(|w| cut(w, WORDS_CHARS))
        .collect();
    let more = edge.words.len().saturating_sub(LINES);
    if more > 0 {
        words.push(Shown::line(format!("and {more} more")));
    }
    Some(Line {
        path: format!("M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"),
        width: edge.weight.clamp(1, 6),
        never: edge.weight == 0,
        x: middle,
        y: y1.midpoint(y2) + 14,
        words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(layer: usize, name: &str) -> Node {
        Node {
            layer,
            name: name.to_owned(),
            under: String::new(),
            href: "/".to_owned(),
            class: "plain",
        }
    }

    #[test]
    fn what_is_drawn_is_bounded_in_order_and_harmless() {
        let mut nodes = vec![node(0, "<script>alert(1)</script>\u{202e}")];
        nodes.extend((0..500).map(|n| node(1, &format!("tool {n}"))));
        let edges: Vec<_> = (1..500)
            .map(|to| Edge {
                from: 0,
                to,
                weight: 0,
                words: vec!["<b>".to_owned(); 9],
            })
            .collect();
        let picture = Layers::new("reach", "reach", "", &nodes, &edges);
        assert_eq!(picture.boxes.len(), DRAWN_MAX);
        assert_eq!(picture.lines.len(), DRAWN_MAX - 1);
        let text = picture.render().unwrap();
        assert!(!text.contains("<script>") && !text.contains("<b>") && !text.contains('\u{202e}'));
        assert!(text.contains("and 6 more"));
        for b in &picture.boxes {
            assert!(b.y + HEIGHT <= picture.height && b.x + WIDTH <= picture.width);
        }
    }
}
