#!/bin/sh
echo "no incidents"
