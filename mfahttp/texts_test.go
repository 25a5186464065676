package mfahttp

import (
	"reflect"
	"regexp"
	"strings"
)

func countEmpty(t Texts) (n int) {
	v := reflect.ValueOf(t)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String && f.String() == "" {
			n++
		}
	}
	return n
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func placeholders(t Texts) string {
	var b strings.Builder
	v := reflect.ValueOf(t)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			if ps := placeholder.FindAllString(f.String(), -1); ps != nil {
				b.WriteString(v.Type().Field(i).Name + strings.Join(ps, "") + " ")
			}
		}
	}
	return b.String()
}
