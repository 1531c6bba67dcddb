//! What a server says in XML: a page of a list, or why not. Pure; trusts nothing it is sent.

use roxmltree::{Document, Node};

/// Of a code, and of a message, for people.
const CODE_CHARS_MAX: usize = 64;
const MESSAGE_CHARS_MAX: usize = 300;

/// One page of the keys in a bucket.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Page {
    pub keys: Vec<String>,
    /// Asks for the next one.
    pub next: Option<String>,
}

/// `Err` with what is wrong with it.
pub fn page(xml: &str) -> Result<Page, String> {
    let document = Document::parse(xml).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "ListBucketResult" {
        return Err(format!("it is a {}", plain(root.tag_name().name(), CODE_CHARS_MAX)));
    }
    let contents = root.children().filter(|node| node.tag_name().name() == "Contents");
    let keys = contents.filter_map(|object| text(object, "Key")).map(str::to_owned).collect();
    let is_cut = text(root, "IsTruncated") == Some("true");
    let next = text(root, "NextContinuationToken").filter(|_| is_cut).map(str::to_owned);
    Ok(Page { keys, next })
}

/// Code and message of an error, as far as there are any; never its other parts, which may repeat the request.
pub fn error(xml: &str) -> String {
    let Ok(document) = Document::parse(xml) else { return String::new() };
    let root = document.root_element();
    let code = text(root, "Code").map(|code| plain(code, CODE_CHARS_MAX));
    let message = text(root, "Message").map(|message| plain(message, MESSAGE_CHARS_MAX));
    let parts: Vec<String> = [code, message].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.children().find(|child| child.tag_name().name() == name)?.text()
}

fn plain(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_keys_and_leads_to_the_next() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
            <IsTruncated>true</IsTruncated><NextContinuationToken>1ueG/==</NextContinuationToken>
            <Contents><Key>a.backup</Key><Size>3</Size></Contents><Contents><Key>b&amp;c</Key></Contents>
            <CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListBucketResult>"#;
        let keys = vec!["a.backup".to_owned(), "b&c".to_owned()];
        assert_eq!(page(xml), Ok(Page { keys, next: Some("1ueG/==".to_owned()) }));
        let last = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(page(last), Ok(Page::default()));
        for odd in ["", "no xml", "<html><body/></html>", "<ListBucketResult>"] {
            assert!(page(odd).is_err(), "{odd}");
        }
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bbbb">]><ListBucketResult>&b;</ListBucketResult>"#;
        assert!(page(bomb).is_err(), "no document brings its own entities");
    }

    #[test]
    fn an_error_is_its_code_and_message_in_bounds() {
        let xml =
            "<Error><Code>InvalidAccessKeyId</Code><Message>No such key.</Message><HostId>x</HostId></Error>";
        assert_eq!(error(xml), "InvalidAccessKeyId: No such key.");
        assert_eq!(error("<html>502</html>"), "");
        assert_eq!(error("not xml"), "");
        let long = format!("<Error><Message>{}\n&#10;</Message></Error>", "ö".repeat(5_000));
        assert_eq!(error(&long).chars().count(), MESSAGE_CHARS_MAX);
    }
}
