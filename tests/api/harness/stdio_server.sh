#!/bin/sh
# A small MCP server over standard input and output. What it was asked is written into its folder.
say() { printf '%s\n' "$1"; }
text() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}}"; }
calls=0
say 'this line is no message'
while IFS= read -r line; do
  printf '%s\n' "$line" >>asked
  id=$(printf '%s' "$line" | sed -n 's/^{[^{]*"id":\([^,}]*\).*/\1/p')
  case $line in
  *'"method":"initialize"'*)
    say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{\"listChanged\":true}},\"serverInfo\":{\"name\":\"small\",\"version\":\"1\"}}}" ;;
  *'"method":"notifications/'*) ;;
  *'"method":"tools/list"'*)
    tools=
    for name in who slow leak die roots; do
      tools="$tools${tools:+,}{\"name\":\"$name\",\"inputSchema\":{\"type\":\"object\"},\"annotations\":{\"readOnlyHint\":true}}"
    done
    say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"tools\":[$tools]}}" ;;
  *'"name":"who"'*)
    calls=$((calls + 1))
    names=$(env | sed 's/=.*//' | sort | tr '\n' ' ')
    text "pid=$$ calls=$calls names=$names folder=$PWD" ;;
  *'"name":"slow"'*)
    token=$(printf '%s' "$line" | sed -n 's/.*"progressToken":\([^,}]*\).*/\1/p')
    say "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":$token,\"progress\":1}}"
    # Until somebody gives it up.
    while IFS= read -r line; do
      printf '%s\n' "$line" >>asked
      case $line in *'"method":"notifications/cancelled"'*"\"requestId\":$id"*) break ;; esac
    done ;;
  *'"name":"leak"'*) text "the key is $API_KEY" ;;
  *'"name":"die"'*)
    echo "I die, and my key is $API_KEY" >&2
    exit 3 ;;
  *'"name":"roots"'*)
    say '{"jsonrpc":"2.0","id":"r1","method":"roots/list"}'
    IFS= read -r answer
    printf '%s\n' "$answer" >>asked
    case $answer in
    *'"id":"r1"'*'"result"'*) text 'it was answered' ;;
    *) text 'nobody answered' ;;
    esac ;;
  *'"method":"ping"'*) say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{}}" ;;
  *) say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"Unknown method\"}}" ;;
  esac
done
