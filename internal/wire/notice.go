package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// MaxNoticeValues bounds Notice.Values.
const MaxNoticeValues = 8

// AppendNotice writes a Notice as a ring frame.
func AppendNotice(b []byte, h Header, n Notice) []byte {
	return AppendNoticeBody(h.with(TypeNotice).Append(b), n)
}

// AppendNoticeBody writes what ParseNotice reads. A text above MaxNoticeText is
// cut between two characters.
func AppendNoticeBody(b []byte, n Notice) []byte {
	b = append(b, byte(n.Code))
	b = append(b, n.Nonce[:]...)
	values := n.Values[:min(len(n.Values), MaxNoticeValues)]
	b = append(b, byte(len(values)))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	text := cutText(n.Text)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

// ParseNotice reads the body of a Notice. Codes that have no name yet are kept.
func ParseNotice(body []byte) (Notice, error) {
	r := reader{b: body}
	n := Notice{Code: NoticeCode(r.u8("notice: code"))}
	copy(n.Nonce[:], r.take(len(n.Nonce), "notice: nonce"))
	if count := int(r.u8("notice: values")); count > MaxNoticeValues {
		r.fail(fmt.Errorf("notice: %d values of at most %d: %w", count, MaxNoticeValues, ErrTooMany))
	} else if count > 0 && r.need(8*count, "notice: values") {
		n.Values = make([]uint64, count)
		for i := range n.Values {
			n.Values[i] = r.u64("notice: values")
		}
	}
	text := r.take(r.count(MaxNoticeText, 1, "notice: text"), "notice: text")
	if !utf8.Valid(text) {
		r.fail(fmt.Errorf("notice: %d bytes of text: %w", len(text), ErrBadText))
	}
	if err := r.end("notice"); err != nil {
		return Notice{}, err
	}
	n.Text = string(text)
	return n, nil
}

// cutText shortens s to at most MaxNoticeText bytes without splitting a character.
func cutText(s string) string {
	if len(s) <= MaxNoticeText {
		return s
	}
	end := MaxNoticeText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
